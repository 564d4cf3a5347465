package opscenter

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// parseTime reads a point in time: RFC 3339, milliseconds since 1970, a day of
// the calendar, "now", or a distance from now with its sign.
func parseTime(s string, now time.Time, calendar *time.Location) (time.Time, error) {
	switch {
	case s == "now":
		return now, nil
	case strings.HasPrefix(s, "-") || strings.HasPrefix(s, "+"):
		d, err := parseDuration(s[1:])
		if err != nil {
			return time.Time{}, err
		}
		if s[0] == '-' {
			d = -d
		}
		return now.Add(d), nil
	}
	t, err := absolute(s, calendar)
	if err != nil {
		return time.Time{}, errors.New("want RFC 3339, milliseconds since 1970, a day, or a distance such as -6h")
	}
	if t.Year() < 1970 || t.Year() > 2200 {
		return time.Time{}, errors.New("want a time from 1970 to 2200")
	}
	return t.UTC(), nil
}

func absolute(s string, calendar *time.Location) (time.Time, error) {
	if ms, err := strconv.ParseInt(s, 10, 64); err == nil {
		return time.UnixMilli(ms).UTC(), nil
	}
	if t, err := time.ParseInLocation(time.DateOnly, s, calendar); err == nil {
		return t, nil
	}
	return time.Parse(time.RFC3339Nano, s)
}

// isoDuration is what of ISO 8601-1 section 5.5.2 has a fixed length.
var isoDuration = regexp.MustCompile(`^P(?:(\d+)W)?(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:(\d+)(?:\.(\d{1,3}))?S)?)?$`)

// days is what Go's durations lack.
var days = regexp.MustCompile(`^(\d+)([dw])$`)

// parseDuration reads 90s, 1h30m, 7d, 2w, PT15M or P1D. It is positive.
func parseDuration(s string) (time.Duration, error) {
	d, err := duration(s)
	if err != nil {
		return 0, err
	}
	if d <= 0 || d > 100*365*24*time.Hour {
		return 0, errors.New("want more than nothing and less than a century")
	}
	return d, nil
}

func duration(s string) (time.Duration, error) {
	bad := errors.New("want a duration such as 90s, 15m, 7d or PT15M")
	if len(s) > 40 {
		return 0, bad
	}
	if m := days.FindStringSubmatch(s); m != nil {
		unit := 24 * time.Hour
		if m[2] == "w" {
			unit *= 7
		}
		return times(m[1], unit)
	}
	if m := isoDuration.FindStringSubmatch(s); m != nil && s != "P" && !strings.HasSuffix(s, "T") {
		var sum time.Duration
		for i, unit := range []time.Duration{7 * 24 * time.Hour, 24 * time.Hour, time.Hour, time.Minute, time.Second} {
			d, err := times(m[i+1], unit)
			if err != nil {
				return 0, err
			}
			sum += d
		}
		ms, err := times((m[6] + "000")[:3], time.Millisecond)
		return sum + ms, err
	}
	d, err := time.ParseDuration(s)
	if err != nil {
		return 0, bad
	}
	return d, nil
}

func times(digits string, unit time.Duration) (time.Duration, error) {
	if digits == "" {
		return 0, nil
	}
	n, err := strconv.ParseInt(digits, 10, 64)
	if err != nil || n > int64(200*365*24*time.Hour/unit) {
		return 0, errors.New("longer than two centuries")
	}
	return time.Duration(n) * unit, nil
}

// parseSpan reads from and to. What is left out is now, and back before to.
func (a *api) parseSpan(from, to string, back time.Duration) (start, end time.Time, err error) {
	now := a.now().UTC().Truncate(time.Millisecond)
	end = now
	if to != "" {
		if end, err = parseTime(to, now, a.Calendar); err != nil {
			return start, end, badParameter("to", to, err)
		}
	}
	start = end.Add(-back)
	if from != "" {
		if start, err = parseTime(from, now, a.Calendar); err != nil {
			return start, end, badParameter("from", from, err)
		}
	}
	if !start.Before(end) {
		return start, end, badParameter("from", from, fmt.Errorf("%s is not before %s", start.Format(time.RFC3339), end.Format(time.RFC3339)))
	}
	return start, end, nil
}

// maxSteps bounds how many buckets one question may ask for.
const maxSteps = 20_000

// parseStep reads a step for a span. Steps of whole days follow the city's
// calendar, shorter ones the clock.
func (a *api) parseStep(step string, from, to time.Time) (d, offset time.Duration, err error) {
	if d, err = parseDuration(step); err != nil {
		return 0, 0, badParameter("step", step, err)
	}
	if d < time.Second {
		return 0, 0, badParameter("step", step, errors.New("want a second at least"))
	}
	if to.Sub(from)/d >= maxSteps {
		return 0, 0, badParameter("step", step, fmt.Errorf("%v to %v has more than %d of them", from, to, maxSteps))
	}
	if d%(24*time.Hour) == 0 {
		_, east := to.In(a.Calendar).Zone()
		offset = -time.Duration(east) * time.Second
	}
	return d, offset, nil
}
