package alert

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Schedule says when something holds, in the city's calendar. Its parts are all
// to hold; one that is empty always does.
type Schedule struct {
	// Days are mon, tue, wed, thu, fri, sat, sun.
	Days []string `yaml:"days" json:"days,omitempty"`
	// Hours are spans such as 06:00-21:00. One that ends before it begins goes
	// over midnight and belongs to the day it begins on.
	Hours []string `yaml:"hours" json:"hours,omitempty"`
	// Dates are spans of days, both ends in it: 2026-06-01..2026-10-31.
	Dates []string `yaml:"dates" json:"dates,omitempty"`
	// Months are spans of every year: 06-01..10-31, over New Year too.
	Months []string `yaml:"months" json:"months,omitempty"`
}

// Shift changes the priority of a rule while a schedule holds.
type Shift struct {
	Priority int      `yaml:"priority" json:"priority"`
	While    Schedule `yaml:"while" json:"while"`
}

var weekdays = []string{"sun", "mon", "tue", "wed", "thu", "fri", "sat"}

func (s *Schedule) validate() error {
	for _, d := range s.Days {
		if !slices.Contains(weekdays, d) {
			return fmt.Errorf("day %q: use %s", d, strings.Join(weekdays, ", "))
		}
	}
	for _, h := range s.Hours {
		if _, _, err := hours(h); err != nil {
			return err
		}
	}
	for _, d := range s.Dates {
		from, to, ok := strings.Cut(d, "..")
		for _, day := range []string{from, to} {
			if _, err := time.Parse(time.DateOnly, day); err != nil || !ok {
				return fmt.Errorf("dates %q: write 2026-06-01..2026-10-31", d)
			}
		}
		if to < from {
			return fmt.Errorf("dates %q end before they begin", d)
		}
	}
	for _, m := range s.Months {
		from, to, ok := strings.Cut(m, "..")
		for _, day := range []string{from, to} {
			if _, err := time.Parse("2006-01-02", "2024-"+day); err != nil || !ok {
				return fmt.Errorf("months %q: write 06-01..10-31", m)
			}
		}
	}
	if len(s.Days)+len(s.Hours)+len(s.Dates)+len(s.Months) == 0 {
		return errors.New("give days, hours, dates or months")
	}
	return nil
}

// hours reads a span of the day, in minutes since midnight.
func hours(text string) (from, to int, err error) {
	minute := func(s string) (int, bool) {
		h, m, ok := strings.Cut(s, ":")
		hour, err1 := strconv.Atoi(h)
		minute, err2 := strconv.Atoi(m)
		n := hour*60 + minute
		return n, ok && err1 == nil && err2 == nil && len(m) == 2 && hour >= 0 && minute >= 0 && minute < 60 && n <= 24*60
	}
	a, b, ok := strings.Cut(text, "-")
	from, ok1 := minute(a)
	to, ok2 := minute(b)
	if !ok || !ok1 || !ok2 || from == to {
		return 0, 0, fmt.Errorf("hours %q: write 06:00-21:00", text)
	}
	return from, to, nil
}

// holds tells whether the schedule holds at a time.
func (s *Schedule) holds(at int64, calendar *time.Location) bool {
	if s == nil {
		return true
	}
	t := time.UnixMilli(at).In(calendar)
	if len(s.Hours) == 0 {
		return s.day(t)
	}
	now := t.Hour()*60 + t.Minute()
	for _, text := range s.Hours {
		from, to, err := hours(text)
		switch {
		case err != nil:
		case from < to:
			if from <= now && now < to && s.day(t) {
				return true
			}
		case now >= from && s.day(t), now < to && s.day(t.AddDate(0, 0, -1)):
			return true
		}
	}
	return false
}

func (s *Schedule) day(t time.Time) bool {
	in := func(spans []string, layout string) bool {
		day := t.Format(layout)
		return len(spans) == 0 || slices.ContainsFunc(spans, func(span string) bool {
			from, to, _ := strings.Cut(span, "..")
			if from <= to {
				return from <= day && day <= to
			}
			return day >= from || day <= to
		})
	}
	return (len(s.Days) == 0 || slices.Contains(s.Days, weekdays[t.Weekday()])) && in(s.Dates, "2006-01-02") && in(s.Months, "01-02")
}
