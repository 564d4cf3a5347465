package mqtt

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// Two tests need a process of their own: a server that runs out of file
// descriptors, and a load generator whose work is not the server's. The test
// binary starts itself with this variable set.
const childEnv = "VONGLAU_MQTT_TEST_CHILD"

func runChild(what string) int {
	name, arg, _ := strings.Cut(what, " ")
	var err error
	switch name {
	case "starved":
		err = starvedServer()
	case "load":
		err = generateLoad(arg)
	default:
		err = fmt.Errorf("no child %q", name)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

func startChild(t testing.TB, what string) (in io.WriteCloser, out *bufio.Scanner, cmd *exec.Cmd) {
	t.Helper()
	cmd = exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childEnv+"="+what)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	o, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return in, bufio.NewScanner(o), cmd
}

// starvedServer serves with 40 file descriptors until its input ends.
func starvedServer() error {
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &syscall.Rlimit{Cur: 40, Max: 40}); err != nil {
		return err
	}
	s, err := New(newMemory(), Options{Addrs: []string{"[::1]:0"}})
	if err != nil {
		return err
	}
	if err := s.Start(s.ctx); err != nil {
		return err
	}
	fmt.Println(s.Addrs()[0])
	io.Copy(io.Discard, os.Stdin)
	return s.Stop(s.ctx)
}

func TestOutOfFileDescriptors(t *testing.T) {
	in, out, cmd := startChild(t, "starved")
	if !out.Scan() {
		t.Fatal("the server did not start")
	}
	addr := out.Text()
	var idle []net.Conn
	for range 120 { // three times what it has
		c, err := net.DialTimeout("tcp", addr, 5*time.Second)
		if err != nil {
			t.Fatal(err)
		}
		idle = append(idle, c)
	}
	// An honest client gets in beside them, and one more when they are gone.
	connect311(t, addr, "d1", true).wantSilence()
	for _, c := range idle {
		c.Close()
	}
	connect311(t, addr, "d2", true).wantSilence()
	in.Close()
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
}

// generateLoad publishes "n" messages at QoS 1 over each of "conns" connections
// with "window" in flight: its argument is "addr conns window n".
func generateLoad(arg string) error {
	f := strings.Fields(arg)
	if len(f) != 4 {
		return fmt.Errorf("load: %q", arg)
	}
	conns, _ := strconv.Atoi(f[1])
	window, _ := strconv.Atoi(f[2])
	n, _ := strconv.Atoi(f[3])
	var wg sync.WaitGroup
	errs := make(chan error, conns)
	for i := range conns {
		wg.Go(func() { errs <- loadOne(f[0], i, window, n) })
	}
	wg.Wait()
	for range conns {
		if err := <-errs; err != nil {
			return err
		}
	}
	return nil
}

func loadOne(addr string, i, window, n int) error {
	c, err := net.Dial("tcp", addr)
	if err != nil {
		return err
	}
	defer c.Close()
	id := fmt.Sprintf("load%d", i)
	b := append([]byte{0, 4, 'M', 'Q', 'T', 'T', 4, 0x82, 0, 60}, 0, byte(len(id)))
	b = appendText(append(b, id...), id)
	if _, err := c.Write(appendPacket(nil, 0x10, b)); err != nil {
		return err
	}
	r := bufio.NewReader(c)
	if _, err := r.Discard(4); err != nil {
		return err
	}
	m := &Message{Topic: "devices/" + id + "/telemetry", Payload: []byte(`{"ts": 1795305600000, "pm25": 12.5, "pm10": 30.25, "no2": 18.5, "humidity": 81}`)}
	var now time.Time
	out := make([]byte, 0, 64<<10)
	sent, acked := 0, 0
	for acked < n {
		out = out[:0]
		for sent < n && sent-acked < window {
			out = appendPublish(out, version311, outgoing{m: m, qos: 1, id: uint16(sent%65535 + 1)}, now)
			sent++
		}
		if len(out) > 0 {
			if _, err := c.Write(out); err != nil {
				return err
			}
		}
		if _, err := r.Peek(4); err != nil {
			return err
		}
		k := r.Buffered() / 4
		if _, err := r.Discard(4 * k); err != nil {
			return err
		}
		acked += k
	}
	_, err = c.Write([]byte{0xe0, 0})
	return err
}

// committer acknowledges what came in together, as a journal does, each round
// after at least pause.
type committer struct {
	mu    sync.Mutex
	queue []Ack
	wake  chan struct{}
	done  chan struct{}
	pause time.Duration
}

func (k *committer) take(m *Message, a Ack) {
	k.mu.Lock()
	k.queue = append(k.queue, a)
	k.mu.Unlock()
	select {
	case k.wake <- struct{}{}:
	default:
	}
}

func (k *committer) run() {
	defer close(k.done)
	var batch []Ack
	for range k.wake {
		time.Sleep(k.pause)
		k.mu.Lock()
		batch, k.queue = k.queue, batch[:0]
		k.mu.Unlock()
		for _, a := range batch {
			a.Done(nil)
		}
	}
}

// BenchmarkPublish counts the CPU time the server's process spends on a message,
// everything included: system calls, decoding, the acknowledgement. The clients
// are another process.
func BenchmarkPublish(b *testing.B) {
	for _, load := range []struct{ conns, window int }{{50, 100}, {50, 1}} {
		b.Run(fmt.Sprintf("conns=%d/window=%d", load.conns, load.window), func(b *testing.B) {
			k := &committer{wake: make(chan struct{}, 1), done: make(chan struct{}), pause: time.Millisecond}
			go k.run()
			h := newMemory()
			h.publish = k.take
			s, addr := serveMemory(b, h, Options{})
			each := max(1, b.N/load.conns)
			b.ResetTimer()
			before := cpuTime()
			_, _, cmd := startChild(b, fmt.Sprintf("load %s %d %d %d", addr, load.conns, load.window, each))
			if err := cmd.Wait(); err != nil {
				b.Fatal(err)
			}
			n := float64(each * load.conns)
			b.ReportMetric((cpuTime()-before).Seconds()*1e6/n, "cpu-us/msg")
			b.ReportMetric(n/b.Elapsed().Seconds(), "msg/s")
			s.Stop(b.Context())
			close(k.wake)
			<-k.done
		})
	}
}

func cpuTime() time.Duration {
	var r syscall.Rusage
	syscall.Getrusage(syscall.RUSAGE_SELF, &r)
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}
