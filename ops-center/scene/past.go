package scene

import (
	"context"
	"encoding/json"
	"errors"
	"time"
)

// MessageAt is Message as it was at a time: what the record says the display
// showed or, for a screen that is no display, the default scene of then. A
// display that showed nothing on record is given its default scene too.
func (s *Scenes) MessageAt(ctx context.Context, display string, t time.Time) ([]byte, error) {
	m := message{Type: "scene", Reason: Fallback, Home: s.opt.Home}
	scene, version := DefaultScene, 0
	if display != "" {
		shown, err := s.ShownAt(ctx, display, t)
		switch {
		case errors.Is(err, ErrNone): // the default
		case err != nil:
			return nil, err
		case shown.Scene != "":
			scene, version = shown.Scene, shown.Version
			m.Reason, m.By = shown.Reason, shown.By
			if shown.Alarm != "" || shown.Device != "" {
				m.Focus = &Focus{Alarm: shown.Alarm, Device: shown.Device}
			}
		}
	}
	s.mu.Lock()
	if d := s.displays[display]; d != nil && !d.gone {
		m.Display = &onScreen{ID: d.ID, Name: d.Name, Scale: d.Seat.Scale(), Span: d.Span, Calm: d.Calm, Language: d.Language}
	}
	sc := s.find(scene, version)
	s.mu.Unlock()
	if version == 0 || sc == nil {
		for _, one := range s.At(t) {
			if one.ID == DefaultScene {
				sc = &one
			}
		}
	}
	if sc == nil {
		s.mu.Lock()
		sc = s.find(DefaultScene, 0)
		s.mu.Unlock()
	}
	m.Scene = *sc
	return json.Marshal(m)
}
