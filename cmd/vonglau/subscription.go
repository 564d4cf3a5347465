package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"vonglau/geo"
	"vonglau/ingest"
	"vonglau/ingest/journal"
	opscenter "vonglau/ops-center"
	"vonglau/ops-center/alert"
	"vonglau/ops-center/cap12"
	"vonglau/ops-center/notify"
	"vonglau/ops-center/outbound"
)

// OutboundConfig says where requests to addresses that people typed in may lead
// besides the internet.
type OutboundConfig struct {
	Allow []string `yaml:"allow"`
}

// MailConfig is the server mail is sent by; none is sent without.
type MailConfig struct {
	Server   string `yaml:"server"`
	Security string `yaml:"security"`
	Username string `yaml:"username"`
	Password string `yaml:"password"`
	From     string `yaml:"from"`
	// CA is a PEM file of who vouches for the server; empty for the system's.
	CA string `yaml:"ca"`
	// Link is the address of this server for those outside: the links of mails,
	// webhooks and CAP lead to its pages.
	Link string `yaml:"link"`
}

func (c OutboundConfig) prefixes() (list []netip.Prefix, err error) {
	for _, text := range c.Allow {
		p, err := netip.ParsePrefix(text)
		if err != nil || p != p.Masked() {
			return nil, fmt.Errorf("outbound.allow: %q: write a prefix such as fd12:3456::/32", text)
		}
		list = append(list, p)
	}
	return list, nil
}

func (c OutboundConfig) check(bad func(string, ...any)) {
	if _, err := c.prefixes(); err != nil {
		bad("%w", err)
	}
}

func (c MailConfig) mailer() (*notify.Mailer, error) {
	if c.Server == "" {
		return nil, nil
	}
	o := notify.MailOptions{Server: c.Server, Security: c.Security, Username: c.Username, Password: c.Password, From: c.From}
	if c.CA != "" {
		raw, err := os.ReadFile(c.CA)
		if err != nil {
			return nil, fmt.Errorf("mail.ca: %w", err)
		}
		o.TLS = &tls.Config{RootCAs: x509.NewCertPool(), MinVersion: tls.VersionTLS12}
		if !o.TLS.RootCAs.AppendCertsFromPEM(raw) {
			return nil, fmt.Errorf("mail.ca: %s has no certificate in PEM", c.CA)
		}
	}
	return notify.NewMailer(o)
}

func (c MailConfig) check(bad func(string, ...any)) {
	if _, err := c.mailer(); err != nil {
		bad("%w", err)
	}
	if u, err := url.Parse(c.Link); c.Link != "" && (err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http") {
		bad("mail.link: %q: write a whole address, such as https://ioc.city.example/", c.Link)
	}
}

func defaultMail() MailConfig { return MailConfig{Security: "starttls"} }

func (s *Server) openNotify(ctx context.Context) error {
	allow, err := s.cfg.Outbound.prefixes()
	if err != nil {
		return err
	}
	client, err := outbound.New(outbound.Options{Allow: allow, Secrets: []string{notify.HeaderSignature}})
	if err != nil {
		return err
	}
	mailer, err := s.cfg.Mail.mailer()
	if err != nil {
		return err
	}
	calendar, err := time.LoadLocation(s.cfg.City.Calendar)
	if err != nil {
		return err
	}
	store, err := s.journal.Bucket(ctx, "subscriptions")
	if err != nil {
		return err
	}
	feed, err := s.journal.Log(ctx, "feed", journal.LogOptions{MaxAge: 60 * 24 * time.Hour, MaxBytes: 2 << 30})
	if err != nil {
		return err
	}
	receipts, err := s.journal.Log(ctx, "receipts", journal.LogOptions{MaxAge: 60 * 24 * time.Hour, MaxBytes: 64 << 20})
	if err != nil {
		return err
	}
	alarms, err := s.journal.Log(ctx, "alarms", journal.LogOptions{})
	if err != nil {
		return err
	}
	warnings, err := s.journal.Log(ctx, "warnings", journal.LogOptions{})
	if err != nil {
		return err
	}
	area := func(named []alert.Zone, drawn [][]cap12.Point) []alert.Zone {
		return covered(s.layers, geo.Day(s.clock.now(), calendar), named, drawn)
	}
	s.notify, err = notify.Open(ctx, notify.Options{
		Store: store, Feed: feed, Receipts: receipts, Sources: []notify.Source{notify.Alarms(alarms), notify.Warnings(warnings, area)}, Sealer: s.trust,
		Answers: func(al *alert.Alarm) string {
			department, _ := opscenter.AlarmBounds(s.register, al)
			return department
		},
		Outbound: client, Mail: mailer, Base: s.cfg.Mail.Link, Sender: s.cfg.Warnings.Sender, Calendar: calendar, Now: s.clock.now, After: s.clock.after, Log: s.log.With("part", "notify"), Metrics: s.registry,
	})
	if err != nil {
		return err
	}
	s.open.add("outbound", func(context.Context) error { client.Close(); return nil })
	return nil
}

// departments lets departments read their streams over MQTT.
type departments struct{ n *notify.Notify }

func (d departments) Prove(department, token string) (string, bool) {
	s, ok := d.n.ProveDepartment(department, token)
	return s.ID, ok
}

func (d departments) Open(stream, session string, resume bool) (ingest.Alerts, error) {
	tail, err := d.n.Session(stream, session, resume)
	if err != nil {
		return nil, err
	}
	return tail, nil
}

func (d departments) Forget(ctx context.Context, stream, session string) error {
	return d.n.Forget(ctx, stream, session)
}

// openDepartments joins the streams and the MQTT door.
func (s *Server) openDepartments(door *ingest.MQTT) {
	door.Departments(departments{s.notify})
	s.notify.OnEnd(func(id string) {
		s.mqtt.Disconnect(ingest.DepartmentPrincipal(id), "the credential was withdrawn")
	})
}

func newSubscription(r *remote) *cobra.Command {
	return group("subscription", "what departments are told, and how it reaches them", newSubscriptionAdd(r), newSubscriptionList(r),
		oneSubscription(r, "show", http.MethodGet, "", "print a subscription"),
		oneSubscription(r, "remove", http.MethodDelete, "", "end a subscription, with its dead letters"),
		oneSubscription(r, "test", http.MethodPost, "/test", "send a message marked as a test and print what came of it"),
		oneSubscription(r, "rotate", http.MethodPost, "/rotate", "give it a new secret or token and print it, this once"),
		oneSubscription(r, "deliveries", http.MethodGet, "/deliveries", "print the newest deliveries and the dead letters"),
		newSubscriptionResend(r))
}

func newSubscriptionAdd(r *remote) *cobra.Command {
	var department, name, webhook, secret, format, quiet, digest, escalateTo, escalateUntil, language string
	var after time.Duration
	var priorities, categories, zones, quantities, rules, mails, events, owners []string
	var stream, atom, exercises bool
	c := &cobra.Command{
		Use: "add", Short: "subscribe a department and print its secret or token, which is shown this once",
		Example: `  vonglau subscription add --department "Sở Xây dựng" --priority 1,2 --webhook https://alerts.example/hook --secret S
  vonglau subscription add --department "Sở Y tế" --category Env,Health --mail truc@soyte.example --quiet 22:00-06:00
  vonglau subscription add --department "Công an" --zone wards:13669 --stream`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			filter := map[string]any{"exercises": exercises}
			var numbers []int
			for _, text := range priorities {
				n, err := strconv.Atoi(strings.TrimSpace(text))
				if err != nil {
					return fmt.Errorf("--priority %q: priorities are 1 to 4", text)
				}
				numbers = append(numbers, n)
			}
			var places []map[string]string
			for _, text := range zones {
				layer, code, _ := strings.Cut(text, ":")
				places = append(places, map[string]string{"layer": layer, "code": code})
			}
			for key, list := range map[string][]string{"categories": categories, "quantities": quantities, "rules": rules, "events": events, "owners": owners} {
				if len(list) > 0 {
					filter[key] = list
				}
			}
			if len(numbers) > 0 {
				filter["priorities"] = numbers
			}
			if len(places) > 0 {
				filter["zones"] = places
			}
			body := map[string]any{"department": department, "filter": filter}
			for key, value := range map[string]string{"name": name, "digest": digest, "language": language} {
				if value != "" {
					body[key] = value
				}
			}
			kinds := 0
			set := func(kind string) { body["kind"] = kind; kinds++ }
			if webhook != "" {
				set("webhook")
				body["url"], body["format"] = webhook, format
				if secret != "" {
					body["secret"] = secret
				}
			}
			if len(mails) > 0 {
				set("email")
				body["to"] = mails
			}
			if stream {
				set("stream")
			}
			if atom {
				set("atom")
			}
			if kinds != 1 {
				return errors.New("choose one of --webhook, --mail, --stream and --atom")
			}
			if quiet != "" {
				from, to, ok := strings.Cut(quiet, "-")
				if !ok {
					return fmt.Errorf("--quiet %q: write 22:00-06:00", quiet)
				}
				body["quiet"] = map[string]string{"from": from, "to": to}
			}
			if escalateTo != "" {
				body["escalation"] = map[string]string{"to": escalateTo, "after": after.String(), "until": escalateUntil}
			}
			return r.print(cmd, http.MethodPost, "/v1/subscriptions", nil, body, printJSON)
		},
	}
	f := c.Flags()
	f.StringVar(&department, "department", "", "who subscribes, as in the register of departments")
	f.StringVar(&name, "name", "", "what people call it")
	f.StringSliceVar(&priorities, "priority", nil, "only these priorities: 1,2")
	f.StringSliceVar(&categories, "category", nil, "only these CAP categories: Met,Env")
	f.StringSliceVar(&zones, "zone", nil, "only in these zones: LAYER:CODE, or LAYER for all of it")
	f.StringSliceVar(&quantities, "quantity", nil, "only alarms of these quantities")
	f.StringSliceVar(&rules, "rule", nil, "only alarms of these rules")
	f.StringSliceVar(&owners, "owner", nil, "only alarms these departments answer for")
	f.StringSliceVar(&events, "event", nil, "only these events, such as alarm.raised")
	f.BoolVar(&exercises, "exercises", false, "tell of drills as well")
	f.StringVar(&webhook, "webhook", "", "address that is sent each event")
	f.StringVar(&secret, "secret", "", "signs a webhook's deliveries; a good one is made when left out")
	f.StringVar(&format, "format", "json", "what a webhook is sent: json or cap")
	f.StringSliceVar(&mails, "mail", nil, "mail addresses")
	f.StringVar(&language, "language", "", "which language a mail begins with: vi or en")
	f.BoolVar(&stream, "stream", false, "the department fetches by MQTT or WebSocket")
	f.BoolVar(&atom, "atom", false, "an Atom feed")
	f.StringVar(&quiet, "quiet", "", "hold back what is not priority 1: 22:00-06:00")
	f.StringVar(&digest, "digest", "", "deliver together once an hour or a day: hour, day")
	f.StringVar(&escalateTo, "escalate-to", "", "the subscription that is told when there is no receipt")
	f.DurationVar(&after, "escalate-after", 5*time.Minute, "and after how long")
	f.StringVar(&escalateUntil, "escalate-until", "receipt", "what stops it: receipt or acknowledged")
	_ = c.MarkFlagRequired("department")
	return c
}

func newSubscriptionList(r *remote) *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "list subscriptions and how they are doing", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return r.print(cmd, http.MethodGet, "/v1/subscriptions", nil, nil, table("subscriptions", "id", "department", "name", "kind", "state", "waiting", "dead"))
		},
	}
}

func oneSubscription(r *remote, use, method, path, short string) *cobra.Command {
	return &cobra.Command{
		Use: use + " ID", Short: short, Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if method != http.MethodDelete {
				return r.print(cmd, method, "/v1/subscriptions/"+url.PathEscape(args[0])+path, nil, nil, printJSON)
			}
			cl, err := r.client()
			if err != nil {
				return err
			}
			_, err = cl.call(cmd.Context(), method, "/v1/subscriptions/"+url.PathEscape(args[0]), nil, "", nil)
			return err
		},
	}
}

func newSubscriptionResend(r *remote) *cobra.Command {
	return &cobra.Command{
		Use: "resend ID [DELIVERY]", Short: "send dead letters again, all of them or one", Args: cobra.RangeArgs(1, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			path := "/v1/subscriptions/" + url.PathEscape(args[0])
			if len(args) == 2 {
				path += "/deliveries/" + url.PathEscape(args[1])
			}
			return r.print(cmd, http.MethodPost, path+"/resend", nil, nil, printJSON)
		},
	}
}
