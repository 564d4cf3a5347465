package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"
)

// lifecycle undoes in reverse what was started, each step named. What New
// opens and what Start starts both go here, so that a failure half-way closes
// what is open and nothing else.
type lifecycle struct {
	log *slog.Logger
	// broken gets the first error a loop ended by. A server whose series or
	// alarms have stopped must not go on acknowledging as if nothing were.
	broken chan error

	mu    sync.Mutex
	steps []step
}

func newLifecycle(log *slog.Logger) lifecycle {
	return lifecycle{log: log, broken: make(chan error, 1)}
}

type step struct {
	name string
	stop func(context.Context) error
}

// add names how to undo what was just done.
func (l *lifecycle) add(name string, stop func(context.Context) error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.steps = append(l.steps, step{name, stop})
}

// stop undoes everything, the last first. Calling it again does nothing.
func (l *lifecycle) stop(ctx context.Context) error {
	l.mu.Lock()
	steps := l.steps
	l.steps = nil
	l.mu.Unlock()
	var errs []error
	for _, s := range slices.Backward(steps) {
		start := time.Now()
		if err := s.stop(ctx); err != nil {
			l.log.Error("stopping", "part", s.name, "error", err)
			errs = append(errs, fmt.Errorf("stopping %s: %w", s.name, err))
			continue
		}
		l.log.Debug("stopped", "part", s.name, "took", time.Since(start).Round(time.Millisecond))
	}
	return errors.Join(errs...)
}

// work runs a loop until its part is stopped. A loop that ends by an error before
// is told to broken.
func (l *lifecycle) work(name string, loop func(context.Context) error) {
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := loop(ctx); err != nil && ctx.Err() == nil {
			l.log.Error("a part ended", "part", name, "error", err)
			select {
			case l.broken <- fmt.Errorf("%s ended: %w", name, err):
			default: // one is enough
			}
		}
	})
	l.add(name, func(context.Context) error {
		cancel()
		wg.Wait()
		return nil
	})
}
