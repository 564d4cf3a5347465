package mqtt

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"

	"vonglau/devices"
)

// Server accepts connections and serves them to a Handler.
//
// New builds it, Start takes up the stored sessions and listens, Stop ends what
// Start and Serve began. It is used once.
type Server struct {
	opts     Options
	handler  Handler
	metrics  *metrics
	sessions *sessions

	ctx    context.Context // of all connections
	cancel context.CancelFunc
	tasks  sync.WaitGroup // listeners and janitor
	conns  sync.WaitGroup

	seed maphash.Seed // of what QoS 2 messages said

	mu        sync.Mutex
	stopping  bool
	revoked   int // calls of Disconnect
	listeners []net.Listener
	room      waitingRoom
	admitted  map[*conn]bool
}

// New makes a server that calls h.
func New(h Handler, o Options) (*Server, error) {
	o.setDefaults()
	if err := o.validate(); err != nil {
		return nil, err
	}
	m, err := newMetrics(o.Metrics)
	if err != nil {
		return nil, err
	}
	s := &Server{opts: o, handler: h, metrics: m, seed: maphash.MakeSeed(), admitted: map[*conn]bool{}}
	s.room = newWaitingRoom(o.MaxPending, o.MaxPendingPerSite)
	s.ctx, s.cancel = context.WithCancel(context.Background())
	s.sessions = newSessions(s)
	return s, nil
}

// Start takes up the stored sessions and listens on Options.Addrs.
func (s *Server) Start(ctx context.Context) error {
	if err := s.sessions.load(ctx); err != nil {
		return err
	}
	var lc net.ListenConfig
	var opened []net.Listener
	for _, addr := range s.opts.Addrs {
		l, err := lc.Listen(ctx, "tcp", addr)
		if err != nil {
			for _, l := range opened {
				l.Close()
			}
			return fmt.Errorf("mqtt: listening on %s: %w", addr, err)
		}
		opened = append(opened, l)
	}
	s.tasks.Add(1)
	go s.sessions.janitor(s.ctx)
	for _, l := range opened {
		if err := s.Serve(l); err != nil {
			return err
		}
	}
	return nil
}

// Serve accepts connections from l as well, until Stop closes it. It does not
// wait; call it after Start.
func (s *Server) Serve(l net.Listener) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopping {
		l.Close()
		return errors.New("mqtt: the server is stopped")
	}
	s.listeners = append(s.listeners, l)
	s.tasks.Add(1)
	go s.accept(l)
	return nil
}

// Addrs gives the addresses listened on.
func (s *Server) Addrs() []net.Addr {
	s.mu.Lock()
	defer s.mu.Unlock()
	var a []net.Addr
	for _, l := range s.listeners {
		a = append(a, l.Addr())
	}
	return a
}

// Stop closes the listeners and ends every connection: what is in flight is
// acknowledged as it is decided, then MQTT 5 clients are told (0x8B), wills are
// published. When ctx ends first, what is undecided stays without its
// acknowledgement. It is harmless twice.
func (s *Server) Stop(ctx context.Context) error {
	s.mu.Lock()
	s.stopping = true
	listeners := s.listeners
	s.listeners = nil
	waiting := s.room.all()
	s.mu.Unlock()
	for _, l := range listeners {
		l.Close()
	}
	for _, c := range waiting {
		c.evict()
	}
	s.endAll(true)
	done := make(chan struct{})
	go s.awaitConns(done)
	var err error
	limit := time.NewTimer(s.opts.StallTimeout)
	defer limit.Stop()
	select {
	case <-done:
	case <-ctx.Done():
		err = fmt.Errorf("mqtt: stopping: messages were left without acknowledgement: %w", ctx.Err())
	case <-limit.C:
		err = fmt.Errorf("mqtt: stopping: messages were left without acknowledgement after %v", s.opts.StallTimeout)
	}
	if err != nil {
		s.endAll(false)
		<-done
	}
	s.cancel()
	s.tasks.Wait()
	s.sessions.flush()
	return err
}

func (s *Server) awaitConns(done chan<- struct{}) {
	s.conns.Wait()
	close(done)
}

func (s *Server) endAll(wait bool) {
	s.mu.Lock()
	var all []*conn
	for c := range s.admitted {
		all = append(all, c)
	}
	s.mu.Unlock()
	for _, c := range all {
		c.end(End{Cause: CauseStopping, Detail: "the server stops", code: codeShuttingDown, wait: wait})
	}
}

// Disconnect ends the connections of a principal that may not speak any more,
// and returns how many there were. A connection being made meanwhile is proven
// again.
func (s *Server) Disconnect(principal, why string) int {
	s.mu.Lock()
	s.revoked++
	var all []*conn
	for c := range s.admitted {
		if c.peer.Principal() == principal && !c.ending.Load() {
			all = append(all, c)
		}
	}
	s.mu.Unlock()
	for _, c := range all {
		c.end(End{Cause: CauseRevoked, Detail: why, code: codeNotAuthorized})
	}
	return len(all)
}

func (s *Server) revocations() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.revoked
}

func (s *Server) hash(topic string, payload []byte) uint64 {
	return maphash.String(s.seed, topic) ^ maphash.Bytes(s.seed, payload)<<1
}

// cleanup is a context for what is done after a connection, whether the server
// stops or not.
func (s *Server) cleanup() (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(s.ctx), 5*time.Second)
}

// accept takes connections from l until it is closed. Any other error, running
// out of file descriptors above all, is waited out.
func (s *Server) accept(l net.Listener) {
	defer s.tasks.Done()
	const shortest, longest = 5 * time.Millisecond, time.Second
	pause := shortest
	for {
		nc, err := l.Accept()
		if err == nil {
			pause = shortest
			s.welcome(nc)
			continue
		}
		s.mu.Lock()
		stopping := s.stopping
		oldest := s.room.oldest()
		s.mu.Unlock()
		if stopping || errors.Is(err, net.ErrClosed) {
			return
		}
		s.metrics.acceptErrors.Inc()
		s.opts.Log.Warn("mqtt: accepting a connection failed, trying again", "listener", l.Addr(), "after", pause, "error", err)
		if oldest != nil && time.Since(oldest.since) >= grace {
			oldest.evict() // whoever has proven nothing gives a descriptor back
		}
		t := time.NewTimer(pause)
		select {
		case <-t.C:
		case <-s.ctx.Done():
			t.Stop()
			return
		}
		pause = min(2*pause, longest)
	}
}

// welcome begins the life of a connection.
func (s *Server) welcome(nc net.Conn) {
	raw := nc
	if t, ok := nc.(interface{ NetConn() net.Conn }); ok {
		raw = t.NetConn() // of a TLS connection
	}
	if t, ok := raw.(*net.TCPConn); ok {
		// Finds the half-open connection of a 3.1.1 client without keep-alive.
		t.SetKeepAliveConfig(net.KeepAliveConfig{Enable: true, Idle: time.Minute, Interval: 15 * time.Second, Count: 4})
	}
	c := s.newConn(nc)
	var victim *conn
	for entered := false; !entered; {
		s.mu.Lock()
		if s.stopping {
			s.mu.Unlock()
			c.evict()
			return
		}
		if victim, entered = s.room.enter(c, time.Now()); entered {
			s.conns.Add(1)
		}
		s.mu.Unlock()
		if !entered {
			time.Sleep(grace / 50) // the kernel queues whoever comes meanwhile
		}
	}
	s.metrics.pending.Inc()
	if victim != nil {
		s.metrics.evicted.Inc()
		victim.evict()
	}
	go c.serve()
}

// evict ends a connection that has proven nothing.
func (c *conn) evict() {
	c.cancel()
	c.nc.Close()
}

// admit moves a connection that proved itself, when there had been revoked
// revocations, out of the waiting room. It is refused when there are too many,
// or when the server stops; it is stale when there was one since.
func (s *Server) admit(c *conn, revoked int) (ok, stale bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if revoked != s.revoked {
		return false, true
	}
	if s.stopping || len(s.admitted) >= s.opts.MaxConnections || !s.room.leave(c) {
		return false, false
	}
	s.admitted[c] = true
	s.metrics.pending.Dec()
	s.metrics.connections.Inc()
	return true, false
}

// drop is the end of a connection's life.
func (s *Server) drop(c *conn) {
	s.mu.Lock()
	if s.admitted[c] {
		delete(s.admitted, c)
		s.metrics.connections.Dec()
	} else {
		s.room.leave(c)
		s.metrics.pending.Dec()
	}
	s.mu.Unlock()
	s.conns.Done()
}

// waitingRoom holds the connections that have not proven who they are, in the
// order they came. An honest client is through in milliseconds, so who waits
// longest is the one to go for a newcomer, first of the newcomer's own site when
// that has its share; but nobody goes before grace is over, or a site that comes
// back after a power cut would push out its own. Until then a site may have more
// than its share, and when all is full the newcomer waits.
//
// It is guarded by Server.mu.
type waitingRoom struct {
	most, mostPerSite int
	bySite            map[netip.Prefix][]*conn
	queue             []*conn
}

// grace is how long a connection may be silent while others want its place.
const grace = 500 * time.Millisecond

func newWaitingRoom(most, perSite int) waitingRoom {
	return waitingRoom{most: most, mostPerSite: perSite, bySite: map[netip.Prefix][]*conn{}}
}

func site(c *conn) netip.Prefix { return devices.SitePrefix(c.from.Addr()) }

// enter lets c in, or does not yet, and returns who has to go for it.
func (w *waitingRoom) enter(c *conn, now time.Time) (victim *conn, ok bool) {
	k := site(c)
	over := func(o *conn) bool { return now.Sub(o.since) >= grace }
	switch {
	case len(w.bySite[k]) >= w.mostPerSite && over(w.bySite[k][0]):
		victim = w.bySite[k][0]
	case len(w.queue) < w.most:
	case over(w.queue[0]):
		victim = w.queue[0]
	default:
		return nil, false
	}
	if victim != nil {
		w.leave(victim)
	}
	w.bySite[k] = append(w.bySite[k], c)
	w.queue = append(w.queue, c)
	return victim, true
}

// leave reports whether c was there.
func (w *waitingRoom) leave(c *conn) bool {
	i := slices.Index(w.queue, c)
	if i < 0 {
		return false
	}
	w.queue = slices.Delete(w.queue, i, i+1)
	k := site(c)
	if rest := slices.DeleteFunc(w.bySite[k], func(o *conn) bool { return o == c }); len(rest) > 0 {
		w.bySite[k] = rest
	} else {
		delete(w.bySite, k)
	}
	return true
}

func (w *waitingRoom) oldest() *conn {
	if len(w.queue) == 0 {
		return nil
	}
	return w.queue[0]
}

func (w *waitingRoom) all() []*conn { return slices.Clone(w.queue) }
