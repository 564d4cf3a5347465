package mqtt

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	paho5 "github.com/eclipse/paho.golang/paho"
	paho3 "github.com/eclipse/paho.mqtt.golang"
)

// The clients here are not ours. They prove that nothing is missing that a
// device uses.

func lines(n int) (all []string) {
	for i := range n {
		all = append(all, fmt.Sprintf(`{"pm25": %d.5}`, i))
	}
	return all
}

func mosquitto(t *testing.T, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		t.Skipf("%s is not installed (Debian: mosquitto-clients)", name)
	}
	return path
}

func TestMosquittoPub(t *testing.T) {
	pub := mosquitto(t, "mosquitto_pub")
	for _, version := range []string{"311", "5"} {
		for qos := range 3 {
			t.Run(fmt.Sprintf("%s qos %d", version, qos), func(t *testing.T) {
				h := newMemory()
				_, addr := serveMemory(t, h, Options{})
				want := lines(2000)
				host, port, _ := net.SplitHostPort(addr)
				cmd := exec.CommandContext(t.Context(), pub, "-h", host, "-p", port, "-V", version, "-q", strconv.Itoa(qos),
					"-i", "d1", "-u", "d1", "-P", "x", "-t", "devices/d1/telemetry", "-l")
				cmd.Stdin = strings.NewReader(strings.Join(want, "\n") + "\n")
				if out, err := cmd.CombinedOutput(); err != nil {
					t.Fatalf("mosquitto_pub: %v\n%s", err, out)
				}
				h.wait(t, "2000 messages", func() bool { return len(h.log) >= len(want) })
				if got := h.payloads(); !slices.Equal(got, want) {
					t.Errorf("got %d messages, want %d in order", len(got), len(want))
				}
				h.waitEvent(t, "offline d1 disconnect")
			})
		}
	}
}

func TestMosquittoSub(t *testing.T) {
	sub := mosquitto(t, "mosquitto_sub")
	for _, version := range []string{"311", "5"} {
		for qos := range 3 {
			t.Run(fmt.Sprintf("%s qos %d", version, qos), func(t *testing.T) {
				h := newMemory()
				_, addr := serveMemory(t, h, Options{})
				host, port, _ := net.SplitHostPort(addr)
				want := lines(2000)
				cmd := exec.CommandContext(t.Context(), sub, "-h", host, "-p", port, "-V", version, "-q", strconv.Itoa(qos),
					"-i", "s1", "-u", "s1", "-P", "x", "-t", "devices/+/telemetry", "-C", strconv.Itoa(len(want)))
				var out bytes.Buffer
				cmd.Stdout, cmd.Stderr = &out, os.Stderr
				if err := cmd.Start(); err != nil {
					t.Fatal(err)
				}
				h.wait(t, "a subscription", func() bool { return len(h.cursors) == 1 })
				for _, l := range want {
					h.append(SessionKey{}, &Message{Topic: "devices/d1/telemetry", Payload: []byte(l), QoS: 2})
				}
				if err := cmd.Wait(); err != nil {
					t.Fatal(err)
				}
				if got := strings.Split(strings.TrimSpace(out.String()), "\n"); !slices.Equal(got, want) {
					t.Errorf("got %d lines, want %d in order", len(got), len(want))
				}
			})
		}
	}
}

func TestPaho311(t *testing.T) {
	h := newMemory()
	s, addr := serveMemory(t, h, Options{})
	options := func() *paho3.ClientOptions {
		return paho3.NewClientOptions().AddBroker("tcp://" + addr).SetClientID("d1").SetUsername("d1").SetPassword("x").
			SetProtocolVersion(4).SetCleanSession(false).SetOrderMatters(true).SetAutoReconnect(true).
			SetConnectRetryInterval(50 * time.Millisecond).SetMaxReconnectInterval(50 * time.Millisecond)
	}
	c := paho3.NewClient(options())
	wait := func(tok paho3.Token) {
		t.Helper()
		if !tok.WaitTimeout(20*time.Second) || tok.Error() != nil {
			t.Fatalf("paho: %v", tok.Error())
		}
	}
	wait(c.Connect())
	var mu sync.Mutex
	var got []string
	wait(c.Subscribe("devices/d1/commands", 1, func(_ paho3.Client, m paho3.Message) {
		mu.Lock()
		got = append(got, string(m.Payload()))
		mu.Unlock()
		h.note("command %s", m.Payload())
	}))
	var tokens []paho3.Token
	want := lines(600)
	for i, l := range want {
		tokens = append(tokens, c.Publish("devices/d1/telemetry", byte(1+i%2), false, l))
		h.append(SessionKey{}, &Message{Topic: "devices/d1/commands", Payload: []byte(l), QoS: 1})
		if i == 300 {
			// Cut in the middle; it comes back by itself and loses nothing.
			s.Disconnect("d1", "a test cuts the connection")
		}
	}
	for i, tok := range tokens {
		if !tok.WaitTimeout(20 * time.Second) {
			t.Fatalf("publish %d is not answered", i)
		}
		if tok.Error() != nil { // written into the cut; the device tries again
			wait(c.Publish("devices/d1/telemetry", 1, false, want[i]))
		}
	}
	h.wait(t, "the last command", func() bool {
		mu.Lock()
		defer mu.Unlock()
		return slices.Contains(got, want[len(want)-1])
	})
	c.Disconnect(250)
	seen := map[string]bool{}
	for _, p := range h.payloads() {
		seen[p] = true
	}
	if len(seen) != len(want) {
		t.Errorf("%d different payloads arrived, want %d", len(seen), len(want))
	}
	mu.Lock()
	defer mu.Unlock()
	if distinct := slices.Compact(slices.Clone(got)); !inOrder(distinct, want) {
		t.Errorf("%d commands, or not in order; want %d", len(distinct), len(want))
	}
	noBadEvents(t, h)
}

// inOrder reports whether want is got after leaving out of got what it said
// before already, which is what a resent message looks like.
func inOrder(got, want []string) bool {
	seen := map[string]bool{}
	var first []string
	for _, g := range got {
		if !seen[g] {
			seen[g] = true
			first = append(first, g)
		}
	}
	return slices.Equal(first, want)
}

func TestPaho5(t *testing.T) {
	h := newMemory()
	_, addr := serveMemory(t, h, Options{})
	nc, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	var got []string
	want := lines(500)
	all := make(chan struct{})
	c := paho5.NewClient(paho5.ClientConfig{Conn: nc, OnPublishReceived: []func(paho5.PublishReceived) (bool, error){
		func(p paho5.PublishReceived) (bool, error) {
			mu.Lock()
			defer mu.Unlock()
			got = append(got, string(p.Packet.Payload))
			if p.Packet.Properties.SubscriptionIdentifier == nil || *p.Packet.Properties.SubscriptionIdentifier != 7 {
				t.Errorf("subscription identifier %v, want 7", p.Packet.Properties.SubscriptionIdentifier)
			}
			if len(got) == len(want) {
				close(all)
			}
			return true, nil
		}}})
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	expiry := uint32(3600)
	ca, err := c.Connect(ctx, &paho5.Connect{ClientID: "d5", Username: "d5", UsernameFlag: true, KeepAlive: 30, CleanStart: true,
		Properties: &paho5.ConnectProperties{SessionExpiryInterval: &expiry}})
	if err != nil {
		t.Fatal(err)
	}
	if ca.Properties.ReceiveMaximum == nil || *ca.Properties.ReceiveMaximum != 256 || ca.Properties.SharedSubAvailable {
		t.Errorf("CONNACK properties %+v, want receive maximum 256 and no shared subscriptions", ca.Properties)
	}
	id := 7
	if _, err := c.Subscribe(ctx, &paho5.Subscribe{Properties: &paho5.SubscribeProperties{SubscriptionIdentifier: &id},
		Subscriptions: []paho5.SubscribeOptions{{Topic: "t/#", QoS: 1}}}); err != nil {
		t.Fatal(err)
	}
	for i, l := range want {
		r, err := c.Publish(ctx, &paho5.Publish{Topic: "t/x", QoS: byte(1 + i%2), Payload: []byte(l),
			Properties: &paho5.PublishProperties{ContentType: "application/json", User: paho5.UserProperties{{Key: "k", Value: "v"}}}})
		if err != nil || r.ReasonCode != 0 {
			t.Fatalf("publish %d: %v %+v", i, err, r)
		}
	}
	select {
	case <-all:
	case <-ctx.Done():
		t.Fatalf("got %d of %d messages back", len(got), len(want))
	}
	if err := c.Disconnect(&paho5.Disconnect{ReasonCode: 0}); err != nil {
		t.Error(err)
	}
	<-c.Done()
	mu.Lock()
	defer mu.Unlock()
	if !slices.Equal(got, want) {
		t.Errorf("messages came back in another order")
	}
	if m := h.log[0]; m.ContentType != "application/json" || len(m.User) != 1 || m.User[0] != (UserProperty{"k", "v"}) {
		t.Errorf("first message %+v, want its content type and user property", m)
	}
}

// pahoSuite runs one of Eclipse's suites, which speak IPv4 by themselves. What
// they ask for beyond what the standard does is changed or left out, each with
// its reason.
const pahoSuite = `
import logging, socket, sys, types, unittest
suite, host, port = sys.argv[1:]
logging.getLogger().setLevel(logging.CRITICAL)
sys.path.insert(0, ".")
source = open(suite + ".py").read()
for was, now in [
    # A subscription is granted QoS 1 at most.
    ("1 in qoss and 2 in qoss and 0 in qoss", "sorted(qoss) == [0, 1, 1]"),
    ("(callback.messages[0][2] == 2 and callback.messages[1][2] == 1)", "(callback.messages[0][2] == callback.messages[1][2] == 1)"),
]:
    source = source.replace(was, now)
m = sys.modules[suite] = types.ModuleType(suite)
exec(compile(source, suite + ".py", "exec"), m.__dict__)
socket.AF_INET = socket.AF_INET6
prefix = "client_test5/" if suite.endswith("5") else ""
m.host, m.port, m.topic_prefix = host, int(port), prefix
m.topics = [prefix + t for t in ("TopicA", "TopicA/B", "Topic/C", "TopicA/C", "/TopicA")]
m.wildtopics = [prefix + t for t in ("TopicA/+", "+/C", "#", "/#", "/+", "+/+", "TopicA/#")]
m.nosubscribe_topics = ("test/nosubscribe",)
for name, why in {
    "test_dollar_topics": "publishing to a $ topic is refused, where the suite says to leave this out",
    "test_server_topic_alias": "the server defines no aliases, which it need not",
    "test_shared_subscriptions": "shared subscriptions are refused, as CONNACK says",
    "test_subscribe_identifiers": "overlapping subscriptions get a copy each, which the standard allows and the suite does not",
}.items():
    if hasattr(m.Test, name):
        setattr(m.Test, name, unittest.skip(why)(getattr(m.Test, name)))
unittest.main(module=m, argv=[suite, "-v"])
`

// TestPahoInteroperability runs Eclipse's conformance suites against the server:
// set VONGLAU_PAHO_TESTING to a checkout of eclipse/paho.mqtt.testing.
func TestPahoInteroperability(t *testing.T) {
	dir := os.Getenv("VONGLAU_PAHO_TESTING")
	if dir == "" {
		t.Skip("VONGLAU_PAHO_TESTING does not name a checkout of eclipse/paho.mqtt.testing")
	}
	for _, suite := range []string{"client_test", "client_test5"} {
		t.Run(suite, func(t *testing.T) {
			h := newMemory()
			h.principal = func(*Connect) string { return "paho" }
			h.subscribe = func(s Subscription) error {
				if s.Filter == "test/nosubscribe" { // the suites' example of what is not allowed
					return errors.New("not this one")
				}
				return nil
			}
			_, addr := serveMemory(t, h, Options{MaxSessions: 100, MaxKeepAlive: time.Minute}) // the suite asks for exactly that keep-alive
			host, port, _ := net.SplitHostPort(addr)
			cmd := exec.CommandContext(t.Context(), "python3", "-c", pahoSuite, suite, host, port)
			cmd.Dir = filepath.Join(dir, "interoperability")
			out, err := cmd.CombinedOutput()
			t.Logf("%s", out)
			if err != nil {
				t.Error(err)
			}
		})
	}
}
