package opscenter

import (
	"encoding/csv"
	"errors"
	"net/netip"
	"strings"
	"testing"
	"time"

	"vonglau/devices"
)

func TestMessages(t *testing.T) {
	inbox := devices.NewInbox(3, 100)
	c := start(t, func(o *Options) { o.Inbox = inbox })
	c.add(`{"id":"a-1","profile":"air-quality","at":[106.168,20.434]}`)
	for i := range 5 {
		inbox.Add(&devices.Message{
			Device: "a-1", Via: devices.ViaCoAP, From: netip.MustParseAddrPort("[2001:db8::7]:4711"), Received: noon.Add(time.Duration(i) * time.Minute), Size: 40 + i,
			Observations: []devices.Observation{{
				Time: noon, DeviceTime: noon.AddDate(-30, 0, 0), Flags: devices.ClockSuspect,
				Values: []devices.Value{{Quantity: "temperature", Number: 20, Unit: "Fahrenheit"}},
			}},
		})
	}
	var list struct {
		Messages []struct {
			Via, From    string
			Size         int
			Observations []struct {
				DeviceTime time.Time
				Qualities  []string
				Values     []struct {
					Quantity, Sent string
					Value          float64
				}
			}
		}
	}
	c.get("/v1/devices/a-1/messages", &list)
	if len(list.Messages) != 3 || list.Messages[0].Size != 44 || list.Messages[2].Size != 42 {
		t.Fatalf("listed %+v", list.Messages)
	}
	m := list.Messages[0]
	o := m.Observations[0]
	if m.Via != "coap" || m.From != "[2001:db8::7]:4711" || o.DeviceTime.Year() != 1996 || o.Qualities[0] != "clock_suspect" || o.Values[0].Sent != "Fahrenheit" || o.Values[0].Value != 20 {
		t.Errorf("it shows %+v", m)
	}
	c.get("/v1/devices/a-1/messages?limit=1", &list)
	if len(list.Messages) != 1 || list.Messages[0].Size != 44 {
		t.Errorf("limited: %+v", list.Messages)
	}
	for token, want := range map[string]int{displayToken: 403, operatorToken: 200} {
		if status, _, _ := c.call(token, "GET", "/v1/devices/a-1/messages", ""); status != want {
			t.Errorf("status %d, want %d", status, want)
		}
	}
	if status, _, _ := c.call(c.admin, "GET", "/v1/devices/none/messages", ""); status != 404 {
		t.Errorf("an unknown device: %d", status)
	}
}

// A table of readings pages through the store, says that it is complete, and
// refuses before it begins.
func TestExportReadings(t *testing.T) {
	c := start(t, nil)
	c.add(`{"id":"a-1","profile":"air-quality","at":[106.168,20.434]}`)
	status, header, body := c.call(operatorToken, "GET", "/v1/devices/a-1/readings.csv?quantity=pm25", "")
	if status != 200 || !strings.HasPrefix(header.Get("Content-Type"), "text/csv") || !strings.Contains(header.Get("Content-Disposition"), `"a-1-pm25.csv"`) {
		t.Fatalf("status %d, %v", status, header)
	}
	r := csv.NewReader(strings.NewReader(strings.TrimPrefix(body, "\ufeff")))
	r.Comment = '#'
	rows, err := r.ReadAll()
	if err != nil || len(rows) != 2 || strings.Join(rows[1], ",") != "2026-11-21T05:00:00.000Z,2026-11-21T05:00:01.000Z,12.5,ug/m3,late" {
		t.Errorf("rows %q, %v", rows, err)
	}
	if !strings.HasSuffix(body, "# complete\n") {
		t.Errorf("the table does not say that it is complete: %q", body)
	}
	if _, _, body = c.call(operatorToken, "GET", "/v1/devices/a-1/readings.csv?quantity=pm25&step=1h", ""); !strings.Contains(body, "2026-11-21T05:00:00.000Z,1,2,3,4,ug/m3") {
		t.Errorf("by hours: %q", body)
	}
	for path, want := range map[string]int{
		"/v1/devices/none/readings.csv?quantity=pm25": 404, "/v1/devices/a-1/readings.csv?quantity=nothing": 422, "/v1/devices/a-1/readings.csv?quantity=pm25&step=1ms": 422,
	} {
		if status, _, body := c.call(operatorToken, "GET", path, ""); status != want {
			t.Errorf("%s: %d %s, want %d", path, status, body, want)
		}
	}
	c.history.err = errors.New("influx.internal does not answer")
	if status, _, _ := c.call(operatorToken, "GET", "/v1/devices/a-1/readings.csv?quantity=pm25", ""); status != 503 {
		t.Errorf("without a store: %d", status)
	}
}
