package main

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"vonglau/ingest/series"
	opscenter "vonglau/ops-center"
	"vonglau/ops-center/alert"
	"vonglau/ops-center/live"
	"vonglau/ops-center/replay"
)

// ReplayConfig bounds the time machine.
type ReplayConfig struct {
	// Max is how many replays run at once, PerPerson how many of one person.
	Max       int `yaml:"max"`
	PerPerson int `yaml:"per_person"`
}

func defaultReplay() ReplayConfig { return ReplayConfig{Max: 8, PerPerson: 2} }

func (c *ReplayConfig) check(bad func(format string, args ...any)) {
	if c.Max < 1 || c.Max > 100 {
		bad("replay.max: %d: 1 to 100", c.Max)
	}
	if c.PerPerson < 1 || c.PerPerson > c.Max {
		bad("replay.per_person: %d: 1 to replay.max, which is %d", c.PerPerson, c.Max)
	}
}

// openReplays opens the time machine. It is given the readers of the past and
// nothing that writes or sends.
func (s *Server) openReplays(context.Context) (err error) {
	s.replays, err = replay.New(replay.Options{
		Register: s.register, Past: past{s.store}, Alarms: s.alarms, Scenes: s.scenes, Warnings: s.warnings,
		Show: s.alarmOnWall, Retention: s.cfg.Series.Retention, Max: s.cfg.Replay.Max, PerPerson: s.cfg.Replay.PerPerson,
		Tick: time.Duration(float64(time.Second) / s.cfg.Live.Rate), Build: wallBuild(), Report: s.scenes.Report,
		Log: s.log.With("part", "replay"), Metrics: s.registry,
	})
	if err != nil {
		return err
	}
	s.open.add("replays", s.replays.Stop)
	return nil
}

// alarmOnWall is an alarm as walls are told it, in the API's own form.
func (s *Server) alarmOnWall(a alert.Alarm) (live.Alarm, error) {
	raw, err := json.Marshal(a)
	if err != nil {
		return live.Alarm{}, fmt.Errorf("alarm %s: %w", a.ID, err)
	}
	shown := live.Alarm{
		ID: a.ID, Device: a.Device, Priority: uint8(a.Priority), Open: a.State != alert.Normal, Raised: a.Raised, JSON: raw,
	}
	shown.Department, shown.Wards = opscenter.AlarmBounds(s.register, &a)
	if a.State.Colours() {
		shown.Severity = shown.Priority
	}
	return shown, nil
}

// past is the series store as the time machine asks it.
type past struct{ store series.Store }

func (p past) At(ctx context.Context, t time.Time, each func(replay.Sample) error) error {
	return p.store.At(ctx, t, func(s series.Sample) error { return each(replay.Sample(s)) })
}

func (p past) Between(ctx context.Context, from, to time.Time, each func(replay.Sample) error) error {
	return p.store.Between(ctx, from, to, func(s series.Sample) error { return each(replay.Sample(s)) })
}
