package devices

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// DeviceState is how a device should be and how it says it is: two JSON objects,
// each with a version that rises with every change. What they hold is between
// the device and whoever sets it.
type DeviceState struct {
	Desired         json.RawMessage `json:"desired,omitempty"`
	DesiredVersion  uint64          `json:"desiredVersion"`
	DesiredAt       time.Time       `json:"desiredAt,omitzero"`
	By              string          `json:"by,omitempty" personal:"name"`
	Reported        json.RawMessage `json:"reported,omitempty"`
	ReportedVersion uint64          `json:"reportedVersion"`
	ReportedAt      time.Time       `json:"reportedAt,omitzero"`
}

// ErrBadState is a change of a state that cannot be taken.
var ErrBadState = errors.New("bad state")

const (
	maxState      = 8 << 10
	maxStateDepth = 16
)

// MergeState applies a JSON merge patch (RFC 7396) to an object and gives the
// new one, with its members sorted. An absent target is the empty object.
func MergeState(target, patch json.RawMessage) (json.RawMessage, error) {
	if len(patch) > maxState {
		return nil, fmt.Errorf("%w: %d bytes, at most %d", ErrBadState, len(patch), maxState)
	}
	p, err := stateObject(patch)
	if err != nil {
		return nil, err
	}
	t := map[string]any{}
	if len(target) > 0 {
		if t, err = stateObject(target); err != nil {
			return nil, err
		}
	}
	if t, err = merge(t, p, maxStateDepth); err != nil {
		return nil, err
	}
	out, err := json.Marshal(t)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrBadState, err)
	}
	if len(out) > maxState {
		return nil, fmt.Errorf("%w: it would have %d bytes, at most %d", ErrBadState, len(out), maxState)
	}
	return out, nil
}

// stateObject keeps numbers as they are written.
func stateObject(raw json.RawMessage) (map[string]any, error) {
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber()
	var o map[string]any
	if err := dec.Decode(&o); err != nil || o == nil || dec.More() {
		return nil, fmt.Errorf("%w: want one JSON object", ErrBadState)
	}
	return o, nil
}

// merge is MergePatch of RFC 7396 section 2.
func merge(target, patch map[string]any, depth int) (map[string]any, error) {
	if depth == 0 {
		return nil, fmt.Errorf("%w: more than %d objects within each other", ErrBadState, maxStateDepth)
	}
	for name, value := range patch {
		switch v := value.(type) {
		case nil:
			delete(target, name)
		case map[string]any:
			old, _ := target[name].(map[string]any)
			if old == nil {
				old = map[string]any{}
			}
			merged, err := merge(old, v, depth-1)
			if err != nil {
				return nil, err
			}
			target[name] = merged
		default:
			target[name] = value
		}
	}
	return target, nil
}
