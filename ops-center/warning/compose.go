package warning

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"vonglau/ops-center/cap12"
)

// Identity is who speaks: the same in every message.
type Identity struct {
	// Sender names us to the world, such as ops@warnings.example.
	Sender  string
	Name    Text
	Web     string
	Contact string
}

// What marks an exercise, in both languages.
var (
	mark     = Text{"DIỄN TẬP", "EXERCISE"}
	markLong = Text{"ĐÂY LÀ DIỄN TẬP, KHÔNG PHẢI CẢNH BÁO THẬT.", "THIS IS AN EXERCISE, NOT A REAL WARNING."}
)

// Compose makes the message of a draft, as it would be sent at a time.
func Compose(who Identity, w *Warning, d *Draft, identifier string, sent time.Time) *cap12.Alert {
	c := &d.Content
	a := &cap12.Alert{
		Version: "1.2", Identifier: identifier, Sender: who.Sender, Sent: sent, Status: "Actual", MsgType: d.MsgType, Scope: "Public",
		Note: c.Note, References: w.open(who.Sender, sent),
	}
	if w.Exercise {
		a.Status = "Exercise"
		note := mark.VI + " / " + mark.EN
		if w.Drill != "" {
			note += " " + w.Drill
		}
		if c.Note != "" {
			note += ": " + c.Note
		}
		a.Note = note
	}
	a.Infos = []cap12.Info{
		block(who, w, d, "vi-VN", sent, func(t Text) string { return t.VI }),
		block(who, w, d, "en-US", sent, func(t Text) string { return t.EN }),
	}
	return a
}

func block(who Identity, w *Warning, d *Draft, language string, sent time.Time, in func(Text) string) cap12.Info {
	c := &d.Content
	i := cap12.Info{
		Language: language, Categories: slices.Clone(c.Categories), ResponseTypes: slices.Clone(c.ResponseTypes),
		Event: strings.TrimSpace(in(c.Event)), Urgency: c.Urgency, Severity: c.Severity, Certainty: c.Certainty,
		Effective: sent, Expires: c.Expires.In(sent.Location()).Truncate(time.Second),
		SenderName: in(who.Name), Headline: strings.TrimSpace(in(c.Headline)), Description: strings.TrimSpace(in(c.Description)),
		Instruction: strings.TrimSpace(in(c.Instruction)), Web: who.Web, Contact: who.Contact,
	}
	if c.Onset != nil {
		i.Onset = c.Onset.In(sent.Location()).Truncate(time.Second)
		if i.Onset.Before(sent) {
			i.Effective = i.Onset // it began before it was told
		}
	}
	if w.Exercise {
		i.Event = in(mark) + " - " + i.Event
		i.Headline = in(mark) + ": " + i.Headline
		i.Description = strings.TrimSpace(in(markLong) + "\n" + i.Description)
		if i.Instruction != "" {
			i.Instruction = in(markLong) + "\n" + i.Instruction
		}
	}
	if b := c.Bulletin; b != nil {
		i.Parameters = []cap12.Pair{
			{Name: "VN.CapDoRuiRo", Value: strconv.Itoa(b.Level)},
			{Name: "VN.BanTin.So", Value: b.Number},
			{Name: "VN.BanTin.CoQuan", Value: b.Issuer},
			{Name: "VN.BanTin.ThoiGian", Value: cap12.FormatTime(b.Time.In(sent.Location()).Truncate(time.Second))},
			{Name: "VN.BanTin.KhuVuc", Value: b.Area},
		}
	}
	if len(d.Area) > 0 {
		area := cap12.Area{Description: strings.TrimSpace(in(c.AreaName)), Polygons: d.Area}
		for _, z := range c.Zones {
			area.Geocodes = append(area.Geocodes, cap12.Pair{Name: z.Layer, Value: z.Code})
		}
		i.Areas = []cap12.Area{area}
	}
	return i
}
