package live

// Displays is what the hub asks about named screens. Its methods must not block.
// *scene.Scenes is one.
type Displays interface {
	// Message is the scene message that the screens of a display are to show now;
	// the empty name is that of a screen which is no display.
	Message(display string) []byte
	// Report takes in what a display's own screen says of itself.
	Report(display, from string, health []byte) error
}

// Show has the scene message of a display sent to its screens; for the empty
// name, to those that are no display.
func (h *Hub) Show(display string) {
	h.mu.RLock()
	defer h.mu.RUnlock()
	for s := range h.screens {
		if s.scenes && s.display == display {
			s.due.Store(true)
			s.nudge()
		}
	}
}

// identify gives the screen its display: that of its token, which it cannot
// choose, or the one it asks to look at. A screen that names none and was given
// none is not sent scenes.
func (s *screen) identify(asked []string) {
	if s.hub.opt.Displays == nil {
		return
	}
	if s.who.Screen != "" {
		s.display, s.own, s.scenes = s.who.Screen, true, true
	} else if len(asked) > 0 {
		s.display, s.scenes = asked[0], true
	}
	s.due.Store(s.scenes)
}

// scene sends the scene message, once for any number of changes.
func (s *screen) scene() error {
	if !s.due.Swap(false) {
		return nil
	}
	body := s.hub.opt.Displays.Message(s.display)
	if body == nil {
		return nil
	}
	if s.who.Shown != nil {
		body = s.who.Shown(SceneMessage, body)
	}
	return s.sendText(body)
}

// report passes on what the screen says of itself. Only a display's own screen
// speaks for it.
func (s *screen) report(raw []byte) {
	if !s.own {
		s.answer(errorMessage{Type: "error", Code: 403, Message: "health: this screen is no display's own"})
		return
	}
	if err := s.hub.opt.Displays.Report(s.display, s.conn.RemoteAddr().String(), raw); err != nil {
		s.answer(errorMessage{Type: "error", Code: 400, Message: err.Error()})
	}
}
