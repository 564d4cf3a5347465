package firmwaresim

import (
	"encoding/json"
	"fmt"
	"time"

	"vonglau/devices"
)

// Sample is one reading of a device, in JSON as the server takes it.
type Sample struct {
	Device  devices.ID
	Payload []byte
}

// Tell lets the city's time pass as fast as it can be worked out: it gives what
// the devices measure at each step, stamped as if the story had begun at a time
// of ours. Devices that are dark or cut off give nothing. The same seed tells the
// same. A Fleet is told or run, not both.
func (f *Fleet) Tell(began time.Time, length time.Duration, step func(elapsed time.Duration) time.Duration, each func(elapsed time.Duration, list []Sample) error) error {
	stations := make([]*station, len(f.places))
	for i, p := range f.places {
		stations[i] = &station{place: p, model: p.kind.model(p), now: f.world.Now, charge: 100, drain: 0.02}
	}
	for elapsed := time.Duration(0); elapsed <= length; {
		f.world.Step(f.world.start.Add(elapsed))
		var list []Sample
		for _, s := range stations {
			r, ok := s.measure(began.Add(elapsed), &clock{})
			if !ok || !s.powered() || !s.reachable() {
				continue
			}
			body := map[string]any{"ts": r.taken.UnixMilli()}
			for _, v := range r.values {
				body[string(v.Quantity)] = v.Number
			}
			if r.hasAt {
				body["lon"], body["lat"] = round(r.at.Lon(), 6), round(r.at.Lat(), 6)
			}
			payload, err := json.Marshal(body)
			if err != nil {
				return fmt.Errorf("tell %s: %w", s.id, err)
			}
			list = append(list, Sample{s.id, payload})
		}
		if err := each(elapsed, list); err != nil {
			return err
		}
		d := step(elapsed)
		if d <= 0 {
			return fmt.Errorf("tell: a step of %v", d)
		}
		elapsed += d
	}
	return nil
}
