package main

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"vonglau/devices"
	"vonglau/ingest/journal"
	"vonglau/ingest/series"
	"vonglau/ops-center/alert"
	"vonglau/ops-center/live"
)

// The names of the journal's readers. A cursor is kept under each.
const (
	readerSeries   = "series"
	readerAlert    = "alert"
	readerLive     = "live"
	readerSecurity = "security"
)

// seriesSource is the journal as the series writer reads it.
type seriesSource struct{ reader *journal.Reader }

// Next gives the messages of the next batch; session changes and refusals are
// no series.
func (s seriesSource) Next(ctx context.Context) (series.Batch, error) {
	b, err := s.reader.Next(ctx)
	if err != nil {
		return series.Batch{}, err
	}
	out := series.Batch{Mark: b}
	for i := range b.Entries {
		if m := b.Entries[i].Message; m != nil {
			out.Messages = append(out.Messages, m)
		}
	}
	return out, nil
}

// Done moves the cursor.
func (s seriesSource) Done(ctx context.Context, b series.Batch) error {
	return s.reader.Done(ctx, b.Mark.(*journal.Batch))
}

// follow reads the journal from a cursor and hands each batch to take; a batch
// whose take fails is tried again, so that nothing is passed over.
func follow(ctx context.Context, reader *journal.Reader, log *slog.Logger, take func(context.Context, *journal.Batch) error) error {
	defer reader.Close()
	for {
		batch, err := reader.Next(ctx)
		if err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return err
		}
		if batch.Gap != nil {
			log.Warn("entries of the journal are gone before they were read",
				"from", batch.Gap.From, "to", batch.Gap.To, "reason", string(batch.Gap.Reason))
		}
		for pause := 100 * time.Millisecond; ; pause = min(2*pause, 10*time.Second) {
			err := take(ctx, batch)
			if err == nil {
				break
			}
			if ctx.Err() != nil {
				return nil
			}
			log.Error("a batch of the journal was not taken; trying again", "seq", batch.Seq, "error", err)
			select {
			case <-time.After(pause):
			case <-ctx.Done():
				return nil
			}
		}
		if err := reader.Done(ctx, batch); err != nil && !errors.Is(err, context.Canceled) {
			log.Warn("the cursor was not moved; the batch may be read again", "seq", batch.Seq, "error", err)
		}
	}
}

// split sorts a batch by what its readers care for.
func split(b *journal.Batch) (messages []*devices.Message, statuses []*devices.Status, refusals []*devices.Refusal) {
	for i := range b.Entries {
		switch e := &b.Entries[i]; {
		case e.Message != nil:
			messages = append(messages, e.Message)
		case e.Status != nil:
			statuses = append(statuses, e.Status)
		case e.Refusal != nil:
			refusals = append(refusals, e.Refusal)
		}
	}
	return messages, statuses, refusals
}

// tail is how many of the newest entries the wall is rebuilt from at start; the
// devices that were silent that long come from the series store.
const tail = 200_000

// showLive feeds the wall, the counts of the network, the list of recent
// refusals and what each device said last.
func showLive(hub *live.Hub, network *devices.Network, recent *devices.Evidence, inbox *devices.Inbox) func(context.Context, *journal.Batch) error {
	return func(_ context.Context, b *journal.Batch) error {
		messages, statuses, refusals := split(b)
		hub.Apply(messages)
		hub.ApplyStatus(statuses)
		network.Apply(b.Last(), messages, statuses, refusals)
		recent.Add(refusals...)
		inbox.Add(messages...)
		return nil
	}
}

// stillness is how long a reader that does not move is waited for: after a loss
// of power the journal counts entries that never come.
const stillness = 2 * time.Second

// awaitTail waits until a reader has done what the journal holds now.
func awaitTail(ctx context.Context, j *journal.Journal, reader *journal.Reader) {
	poll := time.NewTicker(50 * time.Millisecond)
	defer poll.Stop()
	end, at, moved := j.State().Last, uint64(0), time.Now()
	for {
		last := j.State().Last
		lag, _ := reader.Lag()
		now := last - min(lag, last)
		if now != at {
			at, moved = now, time.Now()
		}
		if now >= end || time.Since(moved) > stillness {
			return
		}
		select {
		case <-poll.C:
		case <-ctx.Done():
			return
		}
	}
}

// seedFromSeries shows the last value of devices that the journal's tail does
// not name. It runs beside everything else and may take its time.
func seedFromSeries(ctx context.Context, register *devices.Register, store series.Store, hub *live.Hub, log *slog.Logger) error {
	seeded := 0
	for _, d := range register.List() {
		if ctx.Err() != nil {
			return nil
		}
		if latest, shown := hub.LatestOf(d.ID); shown && len(latest) > 0 {
			continue
		}
		points, err := store.Latest(ctx, d.ID)
		if err != nil {
			log.Info("the last values of silent devices are not shown: history is not available", "error", err)
			return nil
		}
		for quantity, p := range points {
			hub.Apply([]*devices.Message{{
				Device: d.ID, Received: p.Received,
				Observations: []devices.Observation{{
					Time: p.Time, At: d.At, Zones: p.Zones, Flags: p.Flags,
					Values: []devices.Value{{Quantity: quantity, Number: p.Number}},
				}},
			}})
			seeded++
		}
	}
	if seeded > 0 {
		log.Debug("last values shown from history", "values", seeded)
	}
	return nil
}

// raise feeds the rule engine.
func raise(alarms *alert.Alarms) func(context.Context, *journal.Batch) error {
	return func(ctx context.Context, b *journal.Batch) error {
		messages, statuses, _ := split(b)
		return alarms.Handle(ctx, messages, statuses, b.Last())
	}
}
