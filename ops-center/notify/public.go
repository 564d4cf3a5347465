package notify

import (
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"vonglau/ops-center/alert"
	"vonglau/ops-center/cap12"
)

// Warnings is the source of public messages: the log of package warning.
func Warnings(log Follower) Source { return Source{Name: "warnings", Log: log, Event: warningEvent} }

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
}

var messageKinds = map[string]string{"Alert": WarningIssued, "Update": WarningUpdated, "Cancel": WarningCancelled}

// warningEvent makes an event of a message that was sent, out of the message: what
// departments are told is what the public is.
func warningEvent(_ time.Time, subject string, data []byte) (*Event, error) {
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
		Title: map[string]string{}, Text: map[string]string{}, Response: map[string]string{}, Warning: m.Identifier, CAP: r.XML,
	}
	if r.Exercise {
		if e.Exercise = r.Drill; e.Exercise == "" {
			e.Exercise = r.ID
		}
	}
	for _, i := range m.Infos {
		e.Title[i.Language], e.Text[i.Language], e.Response[i.Language] = i.Headline, i.Description, i.Instruction
	}
	first := m.Infos[0]
	if len(first.Categories) > 0 {
		e.Category = first.Categories[0]
	}
	e.Priority = 4
	for priority, severity := range severities {
		if severity == first.Severity {
			e.Priority = priority
		}
	}
	for _, area := range first.Areas {
		for _, g := range area.Geocodes {
			z := alert.Zone{Layer: g.Name, Code: g.Value, Name: area.Description}
			if !slices.Contains(e.Zones, z) {
				e.Zones = append(e.Zones, z)
			}
		}
	}
	return e, nil
}
