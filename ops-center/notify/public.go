package notify

import (
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"vonglau/ops-center/alert"
	"vonglau/ops-center/cap12"
)

// Covered finds the zones of the city that an area covers any of: zones that are
// named, and rings that were drawn. Departments filter by zones, people draw.
type Covered func(named []alert.Zone, drawn [][]cap12.Point) []alert.Zone

// Warnings is the source of public messages: the log of package warning. Without
// covered a message is in the zones it names.
func Warnings(log Follower, covered Covered) Source {
	return Source{Name: "warnings", Log: log, Event: func(_ time.Time, subject string, data []byte) (*Event, error) {
		return warningEvent(subject, data, covered)
	}}
}

// sentRecord is what is read of a record of that log.
type sentRecord struct {
	At  time.Time `json:"at"`
	Act string    `json:"act"`
	By  struct {
		Name string `json:"name"`
	} `json:"by"`
	ID       string `json:"id"`
	Exercise bool   `json:"exercise"`
	Drill    string `json:"drill"`
	XML      string `json:"xml"`
	Message  struct {
		Content struct {
			Polygons [][]cap12.Point `json:"polygons"`
		} `json:"content"`
	} `json:"message"`
}

// urgency is the priority of a message by its severity, as drafts made of alarms
// choose it: an alarm of priority 1 makes a Severe one.
var urgency = map[string]int{"Extreme": 1, "Severe": 1, "Moderate": 2, "Minor": 3}

var messageKinds = map[string]string{"Alert": WarningIssued, "Update": WarningUpdated, "Cancel": WarningCancelled}

// warningEvent makes an event of a message that was sent, out of the message: what
// departments are told is what the public is.
func warningEvent(subject string, data []byte, covered Covered) (*Event, error) {
	if subject != "warning" {
		return nil, nil
	}
	var r sentRecord
	if err := json.Unmarshal(data, &r); err != nil {
		return nil, fmt.Errorf("an act on a public message: %w", err)
	}
	if r.Act != "sent" {
		return nil, nil
	}
	m, problems := cap12.Read([]byte(r.XML))
	if m == nil || len(m.Infos) == 0 || messageKinds[m.MsgType] == "" {
		return nil, fmt.Errorf("the message of warning %s cannot be read: %v", r.ID, problems)
	}
	e := &Event{
		Kind: messageKinds[m.MsgType], At: m.Sent.UTC(), Recorded: r.At.UTC(), Owner: m.Infos[0].SenderName, Who: r.By.Name,
		Title: map[string]string{}, Text: map[string]string{}, Response: map[string]string{}, Area: map[string]string{}, Warning: m.Identifier, CAP: r.XML,
	}
	if r.Exercise {
		if e.Exercise = r.Drill; e.Exercise == "" {
			e.Exercise = r.ID
		}
	}
	for _, i := range m.Infos {
		e.Title[i.Language], e.Text[i.Language], e.Response[i.Language] = i.Headline, i.Description, i.Instruction
		if len(i.Areas) > 0 {
			e.Area[i.Language] = i.Areas[0].Description
		}
	}
	first := m.Infos[0]
	if len(first.Categories) > 0 {
		e.Category = first.Categories[0]
	}
	if len(first.Categories) > 1 {
		e.Categories = first.Categories
	}
	if e.Priority = urgency[first.Severity]; e.Priority == 0 {
		e.Priority = 4
	}
	if !first.Expires.IsZero() {
		expires := first.Expires.UTC()
		e.Expires = &expires
	}
	for _, area := range first.Areas {
		for _, g := range area.Geocodes {
			z := alert.Zone{Layer: g.Name, Code: g.Value}
			if len(area.Geocodes) == 1 {
				z.Name = area.Description
			}
			if !slices.Contains(e.Zones, z) {
				e.Zones = append(e.Zones, z)
			}
		}
	}
	if covered != nil {
		e.Zones = covered(e.Zones, r.Message.Content.Polygons)
	}
	return e, nil
}
