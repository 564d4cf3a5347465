package main

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"testing"
)

func TestLifecycleStopsInReverseOnce(t *testing.T) {
	l := newLifecycle(slog.New(slog.DiscardHandler))
	var order []string
	for _, name := range []string{"journal", "readers", "doors"} {
		l.add(name, func(context.Context) error {
			order = append(order, name)
			if name == "readers" {
				return errors.New("stuck")
			}
			return nil
		})
	}
	if err := l.stop(t.Context()); err == nil {
		t.Error("the error of one step is lost")
	}
	if want := []string{"doors", "readers", "journal"}; !slices.Equal(order, want) {
		t.Errorf("order: got %v, want %v", order, want)
	}
	if err := l.stop(t.Context()); err != nil || len(order) != 3 {
		t.Errorf("again: %v, %v", err, order)
	}
}

func TestLifecycleTellsOfALoopThatEnds(t *testing.T) {
	l := newLifecycle(slog.New(slog.DiscardHandler))
	l.work("steady", func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() })
	l.work("done", func(context.Context) error { return nil })
	l.work("broken", func(context.Context) error { return errors.New("no disk") })
	if err := <-l.broken; err == nil || err.Error() != "broken ended: no disk" {
		t.Errorf("got %v", err)
	}
	if err := l.stop(t.Context()); err != nil {
		t.Error(err)
	}
	select {
	case err := <-l.broken:
		t.Errorf("a loop that was stopped is no failure: %v", err)
	default:
	}
}
