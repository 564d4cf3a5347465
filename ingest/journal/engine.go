package journal

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// engine is one run of the embedded JetStream server and our connection to it.
// It has no listener of any kind: the only door is the pipe in this process.
//
// After a write or sync error JetStream accepts nothing more for that stream
// until it is opened again, and it does not answer the publish that failed. So
// a publish here has no time limit of its own; it ends with the answer, with
// the server's own word that the stream is broken (Healthz), or with the
// engine. Bringing a broken engine back means stopping it and starting another
// one over the same directory (Journal.reopen).
type engine struct {
	srv   *server.Server
	nc    *nats.Conn
	js    jetstream.JetStream
	fault chan struct{} // poked when the server logs an error

	ctx context.Context // ends with the engine
	end context.CancelFunc
}

// errEngine is wrapped by every error after which the engine has to be opened
// again before anything can be promised.
var errEngine = errors.New("storage engine failed")

// startEngine opens the store under dir. It verifies nothing of ours. onError is
// called, and must not block, when the server logs an error: whoever waits for
// it to write something should look at its health.
func startEngine(dir string, log *slog.Logger, onError func()) (*engine, error) {
	e := &engine{fault: make(chan struct{}, 1)}
	e.ctx, e.end = context.WithCancel(context.Background())
	srv, err := server.NewServer(&server.Options{
		ServerName: "journal",
		DontListen: true,
		NoSigs:     true,
		JetStream:  true,
		StoreDir:   dir,
		// The default is three quarters of what is free at start, so a nearly
		// full disk would make the stream refuse to open (nats-server
		// disk_avail.go). Space is watched by keeper instead.
		JetStreamMaxStore:      math.MaxInt64 / 4,
		JetStreamMaxMemory:     64 << 20,
		SyncAlways:             true,
		SyncInterval:           time.Minute, // of what SyncAlways leaves: truncated heads
		MaxPayload:             maxRecord + 64<<10,
		MaxPending:             64 << 20,
		DisableJetStreamBanner: true,
	})
	if err != nil {
		e.end()
		return nil, fmt.Errorf("make storage engine over %s: %w", dir, err)
	}
	srv.SetLogger(&engineLog{log: log, fault: e.fault, onError: onError}, false, false)
	srv.Start()
	if !srv.ReadyForConnections(10*time.Second) || !srv.JetStreamEnabled() {
		e.end()
		srv.Shutdown()
		srv.WaitForShutdown()
		return nil, fmt.Errorf("start storage engine over %s: JetStream did not come up; see the log above for what it found", dir)
	}
	e.srv = srv
	e.nc, err = nats.Connect("", nats.InProcessServer(srv), nats.NoReconnect(),
		nats.Name("journal"), nats.PingInterval(math.MaxInt64),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) {
			log.Warn("storage engine connection", "error", err)
		}))
	if err != nil {
		e.end()
		srv.Shutdown()
		srv.WaitForShutdown()
		return nil, fmt.Errorf("connect to storage engine: %w", err)
	}
	if e.js, err = jetstream.New(e.nc); err != nil {
		e.stop()
		return nil, fmt.Errorf("connect to storage engine: %w", err)
	}
	return e, nil
}

// stop ends the engine and waits for it. Harmless twice.
func (e *engine) stop() {
	e.end()
	e.nc.Close()
	e.srv.Shutdown()
	e.srv.WaitForShutdown()
}

// health returns what the server says is wrong with a stream, nil when nothing.
func (e *engine) health(stream string) error {
	if !e.srv.JetStreamEnabled() {
		return fmt.Errorf("%w: JetStream has switched itself off", errEngine)
	}
	h := e.srv.Healthz(&server.HealthzOptions{Account: server.DEFAULT_GLOBAL_ACCOUNT, Stream: stream})
	if h.Error != "" {
		return fmt.Errorf("%w: %s", errEngine, h.Error)
	}
	return nil
}

// publish stores data as the message after the stream's message expect and
// returns once it is on disk. It returns errEngine when the engine is broken,
// and then whether data was stored is not known.
//
// stalled is called once when the answer takes longer than patience.
func (e *engine) publish(ctx context.Context, stream, subject string, data []byte, expect uint64, patience time.Duration, stalled func()) error {
	inbox := e.nc.NewInbox()
	answers := make(chan *nats.Msg, 1)
	sub, err := e.nc.ChanSubscribe(inbox, answers)
	if err != nil {
		return fmt.Errorf("%w: %w", errEngine, err)
	}
	defer func() { _ = sub.Unsubscribe() }() // the connection's end is its own error
	m := &nats.Msg{Subject: subject, Reply: inbox, Data: data, Header: nats.Header{
		jetstream.ExpectedLastSeqHeader: {strconv.FormatUint(expect, 10)},
	}}
	if err := e.nc.PublishMsg(m); err != nil {
		return fmt.Errorf("%w: %w", errEngine, err)
	}
	started := time.Now()
	tick := time.NewTicker(250 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case a := <-answers:
			return checkAnswer(a, stream, expect+1)
		case <-e.fault:
			// The log line precedes the state it speaks of by a moment; the
			// next tick looks again.
		case <-tick.C:
			if stalled != nil && time.Since(started) > patience {
				stalled()
				stalled = nil
			}
		case <-ctx.Done():
			return fmt.Errorf("%w: %w", errEngine, context.Cause(ctx))
		}
		if err := e.health(stream); err != nil {
			return err
		}
		if e.nc.IsClosed() {
			return fmt.Errorf("%w: connection closed", errEngine)
		}
	}
}

// checkAnswer turns a publish acknowledgement into an error unless it says that
// the message became want. Anything else is an engine that does not hold what
// we believe it holds: the log ran back, or somebody else wrote.
func checkAnswer(a *nats.Msg, stream string, want uint64) error {
	if s := a.Header.Get("Status"); s != "" {
		return fmt.Errorf("%w: stream %s does not answer (%s)", errEngine, stream, s)
	}
	var ack struct {
		Seq   uint64 `json:"seq"`
		Error *struct {
			Code        int    `json:"code"`
			Description string `json:"description"`
		} `json:"error"`
	}
	if err := json.Unmarshal(a.Data, &ack); err != nil {
		return fmt.Errorf("%w: stream %s answers %.80q", errEngine, stream, a.Data)
	}
	if ack.Error != nil {
		return fmt.Errorf("%w: stream %s: %s (%d)", errEngine, stream, ack.Error.Description, ack.Error.Code)
	}
	if ack.Seq != want {
		return fmt.Errorf("%w: stream %s stored message %d where %d was next", errEngine, stream, ack.Seq, want)
	}
	return nil
}

// asking bounds one question to the server. While JetStream is switched off
// nobody would answer it.
func (e *engine) asking(ctx context.Context) (context.Context, context.CancelFunc, error) {
	if !e.srv.JetStreamEnabled() {
		return nil, nil, fmt.Errorf("%w: JetStream has switched itself off", errEngine)
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	return ctx, cancel, nil
}

// blame makes an error of asking the server into errEngine unless it was the
// asker who gave up.
func (e *engine) blame(asker context.Context, err error) error {
	if asker.Err() != nil {
		return err
	}
	return fmt.Errorf("%w: %w", errEngine, err)
}

// errNoMessage: there is no message at or after the asked one.
var errNoMessage = errors.New("no such message")

// get returns the first readable message of the stream at or after seq, its
// sequence and its data.
func (e *engine) get(outer context.Context, stream, subject string, seq uint64) (uint64, []byte, error) {
	ctx, cancel, err := e.asking(outer)
	if err != nil {
		return 0, nil, err
	}
	defer cancel()
	ask := fmt.Appendf(nil, `{"seq":%d,"next_by_subj":%q}`, seq, subject)
	m, err := e.nc.RequestWithContext(ctx, "$JS.API.DIRECT.GET."+stream, ask)
	if err != nil {
		return 0, nil, fmt.Errorf("read message %d of %s: %w", seq, stream, e.blame(outer, err))
	}
	switch status := m.Header.Get("Status"); status {
	case "":
	case "404":
		return 0, nil, errNoMessage
	default:
		return 0, nil, fmt.Errorf("read message %d of %s: %s %s", seq, stream, status, m.Header.Get("Description"))
	}
	got, err := strconv.ParseUint(m.Header.Get(jetstream.SequenceHeader), 10, 64)
	if err != nil {
		return 0, nil, fmt.Errorf("read message %d of %s: answer has sequence %q", seq, stream, m.Header.Get(jetstream.SequenceHeader))
	}
	return got, m.Data, nil
}

// bounds returns the first and last message sequence of the stream and its
// size. An empty stream has first = last + 1.
func (e *engine) bounds(outer context.Context, stream string) (first, last, bytes uint64, err error) {
	ctx, cancel, err := e.asking(outer)
	if err != nil {
		return 0, 0, 0, err
	}
	defer cancel()
	s, err := e.js.Stream(ctx, stream)
	if err != nil {
		return 0, 0, 0, fmt.Errorf("look at stream %s: %w", stream, e.blame(outer, err))
	}
	st := s.CachedInfo().State
	return max(st.FirstSeq, 1), st.LastSeq, st.Bytes, nil
}

// ensure takes the stream as it is or creates it. Over blocks whose description
// went missing JetStream finds the messages again.
func (e *engine) ensure(ctx context.Context, stream, subject string) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Minute)
	defer cancel()
	_, err := e.js.Stream(ctx, stream)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		_, err = e.js.CreateStream(ctx, jetstream.StreamConfig{
			Name:        stream,
			Subjects:    []string{subject},
			Storage:     jetstream.FileStorage,
			Retention:   jetstream.LimitsPolicy,
			Discard:     jetstream.DiscardOld,
			MaxMsgSize:  -1,
			AllowDirect: true,
		})
	}
	if err != nil {
		return fmt.Errorf("open stream %s: %w", stream, err)
	}
	return nil
}

// purge drops every message before keep.
func (e *engine) purge(ctx context.Context, stream string, keep uint64) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	s, err := e.js.Stream(ctx, stream)
	if err == nil {
		err = s.Purge(ctx, jetstream.WithPurgeSequence(keep))
	}
	if err != nil {
		return fmt.Errorf("drop messages before %d of %s: %w", keep, stream, err)
	}
	return nil
}

// streamsDir is where JetStream keeps the streams of a store.
func streamsDir(dir string) string {
	return filepath.Join(dir, server.JetStreamStoreDir, server.DEFAULT_GLOBAL_ACCOUNT, "streams")
}

// blocksDir is where JetStream keeps the message blocks of a stream.
func blocksDir(dir, stream string) string {
	return filepath.Join(streamsDir(dir), stream, "msgs")
}

// makeDir is os.MkdirAll whose directories survive a loss of power.
func makeDir(dir string) error {
	if _, err := os.Stat(dir); err == nil || !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	parent := filepath.Dir(dir)
	if err := makeDir(parent); err != nil {
		return err
	}
	if err := os.Mkdir(dir, 0o750); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return syncDir(parent)
}

// syncNames syncs every directory on the way from top down to dir: JetStream
// makes directories and does not sync the ones they are in.
func syncNames(top, dir string) error {
	for {
		if err := syncDir(dir); err != nil {
			return fmt.Errorf("sync directory: %w", err)
		}
		if dir == top || dir == filepath.Dir(dir) {
			return nil
		}
		dir = filepath.Dir(dir)
	}
}

// syncDir makes the names in a directory durable.
func syncDir(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	err = f.Sync()
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	return err
}

// engineLog gives the server's log lines to ours and pokes whoever waits for an
// answer when one of them is an error.
type engineLog struct {
	log     *slog.Logger
	fault   chan struct{}
	onError func()
}

func (l *engineLog) line(level slog.Level, format string, v []any) {
	if l.log.Enabled(context.Background(), level) {
		l.log.Log(context.Background(), level, "storage engine: "+strings.TrimSpace(fmt.Sprintf(format, v...)))
	}
}

func (l *engineLog) Noticef(format string, v ...any) { l.line(slog.LevelDebug, format, v) }
func (l *engineLog) Warnf(format string, v ...any)   { l.line(slog.LevelWarn, format, v) }
func (l *engineLog) Debugf(format string, v ...any)  { l.line(slog.LevelDebug, format, v) }
func (l *engineLog) Tracef(format string, v ...any)  { l.line(slog.LevelDebug, format, v) }
func (l *engineLog) Fatalf(format string, v ...any)  { l.Errorf(format, v...) }
func (l *engineLog) Errorf(format string, v ...any) {
	l.line(slog.LevelError, format, v)
	select {
	case l.fault <- struct{}{}:
	default:
	}
	l.onError()
}
