package notify

import (
	"cmp"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"
)

// words are what mails say, Vietnamese first.
var words = map[string]map[string]string{
	AlarmRaised:       {"vi": "Cảnh báo", "en": "Alarm"},
	AlarmCleared:      {"vi": "Đã hết điều kiện cảnh báo", "en": "Condition over"},
	AlarmAcknowledged: {"vi": "Đã xác nhận", "en": "Acknowledged"},
	AlarmWithdrawn:    {"vi": "Tạm rút khỏi danh sách", "en": "Withdrawn from the list"},
	WarningIssued:     {"vi": "Tin cảnh báo", "en": "Warning issued"},
	WarningUpdated:    {"vi": "Cập nhật tin cảnh báo", "en": "Warning updated"},
	WarningCancelled:  {"vi": "Hủy tin cảnh báo", "en": "Warning cancelled"},
	IncidentChanged:   {"vi": "Sự cố", "en": "Incident"},
	"priority":        {"vi": "Ưu tiên %d", "en": "Priority %d"},
	"exercise":        {"vi": "DIỄN TẬP, không phải sự việc thật", "en": "EXERCISE, nothing of this is real"},
	"drill":           {"vi": "DIỄN TẬP", "en": "EXERCISE"},
	"drills":          {"vi": "có tin DIỄN TẬP", "en": "some of an EXERCISE"},
	"time":            {"vi": "Thời điểm", "en": "Time"},
	"expires":         {"vi": "Có hiệu lực đến", "en": "In force until"},
	"zones":           {"vi": "Khu vực", "en": "Area"},
	"place":           {"vi": "Vị trí", "en": "Place"},
	"device":          {"vi": "Thiết bị", "en": "Device"},
	"response":        {"vi": "Việc cần làm", "en": "What to do"},
	"owner":           {"vi": "Đơn vị chịu trách nhiệm", "en": "Answerable"},
	"who":             {"vi": "Người thực hiện", "en": "By"},
	"why":             {"vi": "Lý do", "en": "Reason"},
	"digest":          {"vi": "Bản tổng hợp: %d tin", "en": "Digest: %d events"},
	"escalated":       {"vi": "Chuyển tiếp vì nơi nhận trước chưa có phản hồi", "en": "Passed on: the receiver before has not answered"},
	"test":            {"vi": "Tin thử", "en": "Test"},
	"testText":        {"vi": "Đây là tin thử của Vọng lâu. Không có gì xảy ra.", "en": "This is a test of Vọng lâu. Nothing has happened."},
	"delivery":        {"vi": "Mã lần gửi", "en": "Delivery"},
	"link":            {"vi": "Mở trên Vọng lâu", "en": "Open in Vọng lâu"},
	"department":      {"vi": "Đơn vị nhận", "en": "For"},
}

func word(key, lang string) string {
	if w, ok := words[key]; ok {
		return w[lang]
	}
	return key
}

// in gives a text by language, else whatever there is.
func in(text map[string]string, lang string) string {
	for _, l := range []string{lang, "vi", "en"} {
		for tag, t := range text {
			if t != "" && (tag == l || strings.HasPrefix(tag, l+"-")) {
				return t
			}
		}
	}
	return ""
}

// headline is an event in one line.
func headline(e *Event, lang string) string {
	var b strings.Builder
	if e.Exercise != "" {
		b.WriteString(word("drill", lang) + " · ")
	}
	if e.Priority > 0 {
		fmt.Fprintf(&b, "["+word("priority", lang)+"] ", e.Priority)
	}
	b.WriteString(word(e.Kind, lang))
	if title := in(e.Title, lang); title != "" {
		b.WriteString(": " + title)
	}
	switch area := in(e.Area, lang); {
	case area != "" && !strings.Contains(in(e.Title, lang), area):
		b.WriteString(" – " + area)
	case area == "" && len(e.Zones) > 0 && e.Zones[0].Name != "":
		b.WriteString(" – " + e.Zones[0].Name)
	}
	return b.String()
}

// render writes a message as the subject and text of a mail, in both languages.
func render(s *Subscription, m *Message, base string, calendar *time.Location) (subject, text string) {
	other := "en"
	if s.Language == "en" {
		other = "vi"
	}
	var b strings.Builder
	for i, lang := range []string{s.Language, other} {
		if i > 0 {
			b.WriteString("\n" + strings.Repeat("-", 40) + "\n\n")
		}
		renderIn(&b, s, m, lang, base, calendar)
	}
	switch m.Type {
	case typeTest:
		subject = word("test", s.Language) + " – Vọng lâu"
	case typeDigest:
		subject = fmt.Sprintf(word("digest", s.Language), len(m.Events))
		switch {
		case m.Exercise:
			subject = word("drill", s.Language) + " · " + subject
		case slices.ContainsFunc(m.Events, func(e *Event) bool { return e.Exercise != "" }):
			subject += " (" + word("drills", s.Language) + ")"
		}
	default:
		subject = headline(m.Event, s.Language)
	}
	return subject, b.String()
}

func renderIn(b *strings.Builder, s *Subscription, m *Message, lang, base string, calendar *time.Location) {
	line := func(key, value string) {
		if value != "" {
			fmt.Fprintf(b, "%s: %s\n", word(key, lang), value)
		}
	}
	switch m.Type {
	case typeTest:
		fmt.Fprintf(b, "%s\n", word("testText", lang))
	case typeDigest:
		fmt.Fprintf(b, word("digest", lang)+"\n\n", len(m.Events))
		for _, e := range m.Events {
			fmt.Fprintf(b, "%s  %s\n", e.At.In(calendar).Format("02/01 15:04"), headline(e, lang))
			if t := in(e.Text, lang); t != "" {
				fmt.Fprintf(b, "             %s\n", t)
			}
			if e.Link != "" {
				fmt.Fprintf(b, "             %s\n", e.Link)
			}
		}
	default:
		e := m.Event
		if e.Exercise != "" {
			fmt.Fprintf(b, "*** %s ***\n\n", word("exercise", lang))
		}
		fmt.Fprintf(b, "%s\n", headline(e, lang))
		if t := in(e.Text, lang); t != "" {
			fmt.Fprintf(b, "%s\n", t)
		}
		b.WriteString("\n")
		if e.Depth > 0 {
			fmt.Fprintf(b, "%s\n", word("escalated", lang))
		}
		line("time", e.At.In(calendar).Format("15:04:05 02/01/2006 -0700"))
		if e.Expires != nil && e.Kind != WarningCancelled {
			line("expires", e.Expires.In(calendar).Format("15:04 02/01/2006 -0700"))
		}
		area := in(e.Area, lang)
		if area == "" {
			var zones []string
			for _, z := range e.Zones {
				if z.Name != "" {
					zones = append(zones, z.Name)
				}
			}
			area = strings.Join(zones, ", ")
		}
		line("zones", area)
		if a := e.Alarm; a != nil {
			if a.At != nil {
				line("place", fmt.Sprintf("%.6f, %.6f", a.At[1], a.At[0]))
			}
			line("device", string(a.Device))
		}
		line("owner", e.Owner)
		if e.Kind != AlarmRaised && e.Kind != AlarmCleared {
			line("who", e.Who)
			line("why", e.Why)
		}
		if r := in(e.Response, lang); r != "" && (e.Kind == AlarmRaised || e.Kind == WarningIssued || e.Kind == WarningUpdated) {
			fmt.Fprintf(b, "\n%s:\n%s\n", word("response", lang), r)
		}
		if link := cmp.Or(e.Link, base); link != "" {
			fmt.Fprintf(b, "\n%s: %s\n", word("link", lang), link)
		}
	}
	b.WriteString("\n")
	line("department", s.Department)
	line("delivery", m.ID)
}

// linkOf is the page that shows what an event is about: the desk with the alarm
// open, or the public message; without an address of the server there is none.
func linkOf(base string, e *Event) string {
	u, err := url.Parse(base)
	if err != nil || base == "" {
		return ""
	}
	switch {
	case e.Alarm != nil && e.Alarm.ID != "":
		u = u.JoinPath("desk")
		u.RawQuery = url.Values{"alarm": {e.Alarm.ID}}.Encode()
	case e.Warning != "":
		u = u.JoinPath("warnings")
		u.RawQuery = url.Values{"message": {e.Warning}}.Encode()
	}
	return u.String()
}

// plainError takes the address off an error of a request: it may hold a key, and
// is said beside it.
func plainError(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		return u.Err
	}
	return err
}
