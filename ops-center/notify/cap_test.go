package notify

import (
	"slices"
	"testing"
	"time"

	"vonglau/ops-center/alert"
	"vonglau/ops-center/cap12"
)

// TestCAPChain: the messages of one alarm refer to all before that are in force,
// and one that is shown again after it was withdrawn begins anew: nothing refers
// to what was cancelled or was never sent.
func TestCAPChain(t *testing.T) {
	h, r := newHouse(t, nil), newReceiver(t)
	h.add(Subscription{Kind: Webhook, URL: r.url, Format: "cap"}, "")
	raised := time.Now().UTC().Truncate(time.Second).Add(-time.Hour)
	now := raised
	say := func(event alert.Event, from, to alert.State, acked, shown time.Duration) {
		now = now.Add(time.Minute)
		if event == alert.Raise {
			now = raised
		}
		h.alarm(AlarmRaised, func(t *alert.Transition) {
			t.Event, t.From, t.To, t.At, t.Alarm.Raised, t.Alarm.ID = event, from, to, now, raised, "flood.d1.x"
			if acked > 0 {
				t.Alarm.Acknowledged = &alert.Acknowledgement{By: "Lan", At: raised.Add(acked)}
			}
			if shown > 0 {
				since := raised.Add(shown)
				t.Alarm.ShownSince = &since
			}
		})
	}
	const m = time.Minute
	say(alert.Raise, alert.Normal, alert.Unacknowledged, 0, 0)
	say(alert.Ack, alert.Unacknowledged, alert.Acknowledged, 1*m, 0)
	say(alert.Shelve, alert.Acknowledged, alert.Shelved, 1*m, 0)       // withdrawn
	say(alert.Unshelve, alert.Shelved, alert.Unacknowledged, 1*m, 3*m) // shown again
	say(alert.Ack, alert.Unacknowledged, alert.Acknowledged, 4*m, 3*m) //
	say(alert.Clear, alert.Acknowledged, alert.Normal, 4*m, 3*m)       // over
	eventually(t, "all of them", func() bool { return len(r.got()) == 6 })
	var inForce []cap12.Reference
	var types []string
	for i := range 6 {
		a, err := cap12.Decode(r.raw[i], cap12.Context{})
		if err != nil {
			t.Fatalf("%v\n%s", err, r.raw[i])
		}
		types = append(types, a.MsgType)
		if !slices.EqualFunc(a.References, inForce, cap12.Reference.Same) {
			t.Errorf("%d, %s %s refers to %v, want %v", i, a.MsgType, a.Identifier, a.References, inForce)
		}
		for j, ref := range a.References {
			if j < len(inForce) && !ref.Sent.Equal(inForce[j].Sent) {
				t.Errorf("%d: %s was sent at %s, not %s", i, ref.Identifier, inForce[j].Sent, ref.Sent)
			}
		}
		if inForce = append(inForce, a.Reference()); a.MsgType == "Cancel" {
			inForce = nil
		}
	}
	if want := []string{"Alert", "Update", "Cancel", "Alert", "Update", "Cancel"}; !slices.Equal(types, want) {
		t.Errorf("%v, want %v", types, want)
	}
}

// TestDigestSubject: who reads only the subject of a digest sees whether all, some
// or nothing of it is of a drill.
func TestDigestSubject(t *testing.T) {
	city, drill := &Event{Seq: 1, Kind: AlarmRaised}, &Event{Seq: 2, Kind: AlarmRaised, Exercise: "dt-2026-001"}
	for _, c := range []struct {
		events []*Event
		vi, en string
	}{
		{[]*Event{city, city}, "Bản tổng hợp: 2 tin", "Digest: 2 events"},
		{[]*Event{city, drill}, "Bản tổng hợp: 2 tin (có tin DIỄN TẬP)", "Digest: 2 events (some of an EXERCISE)"},
		{[]*Event{drill, drill}, "DIỄN TẬP · Bản tổng hợp: 2 tin", "EXERCISE · Digest: 2 events"},
	} {
		for lang, want := range map[string]string{"vi": c.vi, "en": c.en} {
			s := Subscription{ID: "s", Language: lang}
			if got, _ := render(&s, s.message(c.events, true), "", time.UTC); got != want {
				t.Errorf("%s: %q, want %q", lang, got, want)
			}
		}
	}
}
