package notify

import (
	"context"
	"encoding/json"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"vonglau/ops-center/alert"
	"vonglau/ops-center/cap12"
)

// issue appends a message that was sent to the log of warnings, as package
// warning writes it, and gives its octets.
func (h *house) issue(msgType, severity, drill string, exercise bool, change func(*cap12.Alert)) string {
	h.t.Helper()
	h.count++
	now := time.Now().Truncate(time.Second)
	a := &cap12.Alert{Version: "1.2", Identifier: "vonglau-2026-000" + string(rune('0'+h.count)), Sender: "canhbao@city.example", Sent: now, Status: "Actual", MsgType: msgType, Scope: "Public"}
	if exercise {
		a.Status, a.Note = "Exercise", "DIỄN TẬP"
	}
	if msgType != "Alert" {
		a.References = []cap12.Reference{{Sender: a.Sender, Identifier: "vonglau-2026-0001", Sent: now.Add(-time.Hour)}}
	}
	for _, lang := range []string{"vi-VN", "en-US"} {
		vi := lang == "vi-VN"
		text := func(a, b string) string {
			if vi {
				return a
			}
			return b
		}
		a.Infos = append(a.Infos, cap12.Info{
			Language: lang, Categories: []string{"Met", "Safety"}, Event: text("Mưa lớn", "Heavy rain"), Urgency: "Expected", Severity: severity, Certainty: "Likely",
			Expires: now.Add(6 * time.Hour), SenderName: text("Trung tâm điều hành", "Operations center"), Headline: text("Mưa lớn ở <Nam Định> & vùng lân cận", "Heavy rain in Nam Định"),
			Description: text("Mưa 100 mm", "Rain of 100 mm"), Instruction: text("Ở trong nhà", "Stay inside"),
			Areas: []cap12.Area{{Description: text("Phường Nam Định", "Nam Định ward"), Geocodes: []cap12.Pair{{Name: "wards", Value: "13669"}},
				Polygons: [][]cap12.Point{{{Lat: 20.4, Lon: 106.1}, {Lat: 20.4, Lon: 106.2}, {Lat: 20.5, Lon: 106.2}, {Lat: 20.4, Lon: 106.1}}}}},
		})
	}
	if change != nil {
		change(a)
	}
	xml, err := cap12.Encode(a)
	if err != nil {
		h.t.Fatal(err)
	}
	data, err := json.Marshal(map[string]any{
		"n": h.count, "at": now, "act": "sent", "by": map[string]any{"name": "Trần Thị Bình"}, "id": "2026-0001", "exercise": exercise, "drill": drill, "xml": string(xml),
		"message": map[string]any{"content": map[string]any{"polygons": [][]cap12.Point{{{Lat: 20.4, Lon: 106.1}}}}},
	})
	if err != nil {
		h.t.Fatal(err)
	}
	if _, err := h.warnings.Append(context.Background(), "warning", data); err != nil {
		h.t.Fatal(err)
	}
	return string(xml)
}

// TestWarnings: public messages come as they were sent, octet for octet, to whom
// they concern, and those of a drill to nobody who has not asked for drills.
func TestWarnings(t *testing.T) {
	h := newHouse(t, nil)
	h.covered = func(named []alert.Zone, drawn [][]cap12.Point) []alert.Zone {
		if len(named) != 1 || len(drawn) != 1 || drawn[0][0].Lat != 20.4 {
			t.Errorf("the area is %v and %v", named, drawn)
		}
		return append(named, alert.Zone{Layer: "districts", Code: "D-1", Name: "Quận 1"})
	}
	add := func(name string, s Subscription) *receiver {
		r := newReceiver(t)
		s.Kind, s.URL, s.Name = Webhook, r.url, name
		h.add(s, "")
		return r
	}
	capped := add("cap", Subscription{Format: "cap"})
	plain := add("json", Subscription{})
	drills := add("drills", Subscription{Filter: Filter{Exercises: true}})
	cases := []struct {
		name string
		f    Filter
		want string // the numbers of the messages below
	}{
		{"by another zone it covers", Filter{Zones: []ZoneFilter{{Layer: "districts", Code: "D-1"}}}, "134"},
		{"by a zone it does not cover", Filter{Zones: []ZoneFilter{{Layer: "wards", Code: "1"}}}, ""},
		{"by the first category", Filter{Categories: []string{"Met"}}, "134"},
		{"by the second category", Filter{Categories: []string{"Safety"}}, "134"},
		{"by no category of it", Filter{Categories: []string{"Env"}}, ""},
		{"by priority", Filter{Priorities: []int{1}}, "1"},
		{"by lower priority", Filter{Priorities: []int{2, 3}}, "34"},
		{"updates", Filter{Events: []string{WarningUpdated}}, "3"},
		{"alarms only", Filter{Events: []string{AlarmRaised}}, ""},
		{"rules", Filter{Rules: []string{"flood"}}, ""},
	}
	var filtered []*receiver
	for _, c := range cases {
		filtered = append(filtered, add(c.name, Subscription{Filter: c.f}))
	}
	sent := []string{
		h.issue("Alert", "Severe", "", false, nil),
		h.issue("Alert", "Extreme", "drill-7", true, nil),
		h.issue("Update", "Moderate", "", false, nil),
		h.issue("Cancel", "Minor", "", false, nil),
		h.issue("Alert", "Severe", "", true, nil), // practised without a drill
	}
	eventually(t, "all of it", func() bool { return len(drills.got()) == 5 && len(plain.got()) == 3 && len(capped.got()) == 3 })
	real3 := []string{sent[0], sent[2], sent[3]}
	for i, want := range real3 {
		if got := string(capped.raw[i]); got != want {
			t.Errorf("CAP number %d is\n%s\nit was sent as\n%s", i, got, want)
		}
		if _, problems := cap12.Read(capped.raw[i]); cap12.Bad(problems) {
			t.Errorf("CAP number %d: %v", i, problems)
		}
		if m := plain.got()[i]; m.Exercise || m.Event.Exercise != "" || m.Event.CAP != want {
			t.Errorf("JSON number %d: %+v", i, m)
		}
	}
	var kinds []string
	for _, m := range drills.got() {
		kinds = append(kinds, m.Event.Kind+" "+m.Event.Exercise)
	}
	if want := []string{"warning.issued ", "warning.issued drill-7", "warning.updated ", "warning.cancelled ", "warning.issued 2026-0001"}; !slices.Equal(kinds, want) {
		t.Errorf("got %q\nwant %q", kinds, want)
	}
	e := plain.got()[0].Event
	if e.Owner != "Trung tâm điều hành" || e.Who != "Trần Thị Bình" || e.Warning != "vonglau-2026-0001" || e.Priority != 1 || e.Expires == nil ||
		e.Area["en-US"] != "Nam Định ward" || !slices.Equal(e.Categories, []string{"Met", "Safety"}) || e.Title["vi-VN"] != "Mưa lớn ở <Nam Định> & vùng lân cận" {
		t.Errorf("the event is %+v", e)
	}
	for i, c := range cases {
		got := func() string {
			var b strings.Builder
			for _, m := range filtered[i].got() {
				b.WriteString(strings.TrimPrefix(m.Event.Warning, "vonglau-2026-000"))
			}
			return b.String()
		}
		eventually(t, c.name, func() bool { return len(got()) >= len(c.want) })
		if got() != c.want {
			t.Errorf("%s: got %q, want %q", c.name, got(), c.want)
		}
	}
	// The schema of the agencies takes it, where it is at hand.
	schemas, _ := filepath.Glob("../../../shared/data/cap/*.xsd")
	xmllint, err := exec.LookPath("xmllint")
	if err != nil || len(schemas) == 0 {
		return
	}
	check := exec.Command(xmllint, "--nonet", "--noout", "--schema", schemas[0], "-")
	check.Stdin = strings.NewReader(string(capped.raw[0]))
	if out, err := check.CombinedOutput(); err != nil {
		t.Errorf("xmllint: %v\n%s", err, out)
	}
}

// TestWarningsByMail: a mail says in both languages what the public was told.
func TestWarningsByMail(t *testing.T) {
	s := &Subscription{Language: "vi", Department: "Sở Xây dựng"}
	h := newHouse(t, nil)
	h.issue("Alert", "Severe", "", false, nil)
	h.issue("Alert", "Severe", "drill-7", true, nil)
	eventually(t, "both", func() bool { return h.n.End() == 2 })
	for seq, want := range [][]string{
		{"Mưa lớn ở <Nam Định>", "Rain of 100 mm", "Ở trong nhà", "Stay inside", "Có hiệu lực đến", "In force until", "Khu vực: Phường Nam Định", "Area: Nam Định ward"},
		{"DIỄN TẬP, không phải sự việc thật", "EXERCISE, nothing of this is real"},
	} {
		e, err := h.n.feed.get(context.Background(), uint64(seq+1))
		if err != nil {
			t.Fatal(err)
		}
		subject, text := render(s, s.message([]*Event{e}, false), "", time.UTC)
		for _, part := range want {
			if !strings.Contains(text, part) {
				t.Errorf("%q is missing in\n%s", part, text)
			}
		}
		if drill := strings.HasPrefix(subject, "DIỄN TẬP"); drill != (seq == 1) || !strings.Contains(subject, "Mưa lớn") {
			t.Errorf("subject %q", subject)
		}
	}
}

// TestBadWarnings: what cannot be read is counted, left out, and holds up nothing.
func TestBadWarnings(t *testing.T) {
	h, r := newHouse(t, nil), newReceiver(t)
	h.add(Subscription{Kind: Webhook, URL: r.url}, "")
	for _, bad := range []string{`{`, `{"act":"sent","xml":"<alert>"}`, `{"act":"sent"}`, `{"act":"drafted","id":"x"}`} {
		if _, err := h.warnings.Append(context.Background(), "warning", []byte(bad)); err != nil {
			t.Fatal(err)
		}
	}
	h.issue("Alert", "Severe", "", false, nil)
	eventually(t, "the good one", func() bool { return len(r.got()) == 1 })
	if got := testutil.ToFloat64(h.n.metrics.broken); got != 3 {
		t.Errorf("%v are counted, want 3", got)
	}
}
