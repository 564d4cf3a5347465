package journal

import (
	"context"
	"errors"
	"flag"
	"io"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"

	"vonglau/devices"
)

var powerRounds = flag.Int("power.rounds", 4, "rounds of TestPowerLoss")

// powerFS is a filesystem in memory that knows what a disk would still have
// after the power went: of a file what it held at its last fsync, of a
// directory the names it had at its last fsync. That is all POSIX promises, and
// less than what ext4 and XFS keep. O_SYNC is not honoured, so what JetStream
// writes with it, the description of a stream, is lost too.
type powerFS struct {
	mu     sync.Mutex
	off    atomic.Bool // after cut every operation fails
	syncs  atomic.Int64
	failed atomic.Int64                  // fsyncs to fail, counted down
	broken atomic.Int64                  // errno of every write, 0 for none
	hang   atomic.Pointer[chan struct{}] // fsyncs wait for it to be closed
	root   *powerNode
}

// powerNode is a file or a directory. What it holds is guarded by powerFS.mu.
type powerNode struct {
	fs.Inode
	p *powerFS

	data, synced []byte                // of a file
	names        map[string]*powerNode // of a directory, at its last fsync
}

var (
	_ fs.NodeCreater   = (*powerNode)(nil)
	_ fs.NodeMkdirer   = (*powerNode)(nil)
	_ fs.NodeUnlinker  = (*powerNode)(nil)
	_ fs.NodeRmdirer   = (*powerNode)(nil)
	_ fs.NodeRenamer   = (*powerNode)(nil)
	_ fs.NodeOpener    = (*powerNode)(nil)
	_ fs.NodeReader    = (*powerNode)(nil)
	_ fs.NodeWriter    = (*powerNode)(nil)
	_ fs.NodeFsyncer   = (*powerNode)(nil)
	_ fs.NodeGetattrer = (*powerNode)(nil)
	_ fs.NodeSetattrer = (*powerNode)(nil)
	_ fs.NodeStatfser  = (*powerNode)(nil)
)

// errno is what operations fail with once the power is off.
func (p *powerFS) errno() syscall.Errno {
	if p.off.Load() {
		return syscall.EIO
	}
	return 0
}

func (n *powerNode) child(ctx context.Context, mode uint32) (*powerNode, *fs.Inode) {
	c := &powerNode{p: n.p}
	return c, n.NewInode(ctx, c, fs.StableAttr{Mode: mode})
}

func (n *powerNode) Create(ctx context.Context, name string, _, _ uint32, out *fuse.EntryOut) (*fs.Inode, fs.FileHandle, uint32, syscall.Errno) {
	if e := n.p.errno(); e != 0 {
		return nil, nil, 0, e
	}
	c, inode := n.child(ctx, syscall.S_IFREG)
	c.attr(&out.Attr)
	return inode, nil, fuse.FOPEN_DIRECT_IO, 0
}

func (n *powerNode) Mkdir(ctx context.Context, name string, _ uint32, out *fuse.EntryOut) (*fs.Inode, syscall.Errno) {
	if e := n.p.errno(); e != 0 {
		return nil, e
	}
	c, inode := n.child(ctx, syscall.S_IFDIR)
	c.attr(&out.Attr)
	return inode, 0
}

// go-fuse keeps the tree; these only have to agree.
func (n *powerNode) Unlink(context.Context, string) syscall.Errno { return n.p.errno() }
func (n *powerNode) Rmdir(context.Context, string) syscall.Errno  { return n.p.errno() }
func (n *powerNode) Rename(context.Context, string, fs.InodeEmbedder, string, uint32) syscall.Errno {
	return n.p.errno()
}

func (n *powerNode) Open(_ context.Context, flags uint32) (fs.FileHandle, uint32, syscall.Errno) {
	if flags&syscall.O_TRUNC != 0 {
		n.p.mu.Lock()
		n.data = nil
		n.p.mu.Unlock()
	}
	return nil, fuse.FOPEN_DIRECT_IO, n.p.errno()
}

func (n *powerNode) Read(_ context.Context, _ fs.FileHandle, dst []byte, off int64) (fuse.ReadResult, syscall.Errno) {
	n.p.mu.Lock()
	defer n.p.mu.Unlock()
	off = min(off, int64(len(n.data)))
	return fuse.ReadResultData(dst[:copy(dst, n.data[off:])]), n.p.errno()
}

func (n *powerNode) Write(_ context.Context, _ fs.FileHandle, data []byte, off int64) (uint32, syscall.Errno) {
	if e := n.p.errno(); e != 0 {
		return 0, e
	}
	if e := syscall.Errno(n.p.broken.Load()); e != 0 {
		return 0, e
	}
	n.p.mu.Lock()
	defer n.p.mu.Unlock()
	n.resize(max(off+int64(len(data)), int64(len(n.data))))
	copy(n.data[off:], data)
	return uint32(len(data)), 0
}

func (n *powerNode) resize(size int64) {
	if size <= int64(len(n.data)) {
		n.data = n.data[:size]
		return
	}
	n.data = append(n.data, make([]byte, size-int64(len(n.data)))...)
}

func (n *powerNode) Fsync(context.Context, fs.FileHandle, uint32) syscall.Errno {
	if e := n.p.errno(); e != 0 {
		return e
	}
	n.p.syncs.Add(1)
	if c := n.p.hang.Load(); c != nil {
		<-*c
	}
	if n.p.failed.Load() > 0 && n.p.failed.Add(-1) >= 0 {
		return syscall.EIO
	}
	n.sync()
	return 0
}

// sync makes what n holds durable.
func (n *powerNode) sync() {
	names := make(map[string]*powerNode)
	for name, c := range n.Children() {
		names[name] = c.Operations().(*powerNode)
	}
	n.p.mu.Lock()
	defer n.p.mu.Unlock()
	n.synced = append([]byte(nil), n.data...)
	n.names = names
}

func (n *powerNode) attr(a *fuse.Attr) {
	a.Mode = 0o700
	a.Size = uint64(len(n.data))
}

func (n *powerNode) Getattr(_ context.Context, _ fs.FileHandle, out *fuse.AttrOut) syscall.Errno {
	n.p.mu.Lock()
	defer n.p.mu.Unlock()
	n.attr(&out.Attr)
	return n.p.errno()
}

func (n *powerNode) Setattr(_ context.Context, _ fs.FileHandle, in *fuse.SetAttrIn, out *fuse.AttrOut) syscall.Errno {
	n.p.mu.Lock()
	defer n.p.mu.Unlock()
	if size, ok := in.GetSize(); ok {
		n.resize(int64(size))
	}
	n.attr(&out.Attr)
	return n.p.errno()
}

func (n *powerNode) Statfs(_ context.Context, out *fuse.StatfsOut) syscall.Errno {
	*out = fuse.StatfsOut{Bsize: 4096, Frsize: 4096, Blocks: 1 << 20, Bfree: 1 << 19, Bavail: 1 << 19, Files: 1 << 20, Ffree: 1 << 19, NameLen: 255}
	return n.p.errno()
}

// mountPower mounts an empty powerFS.
func mountPower(t *testing.T) (*powerFS, string) {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("needs root to mount a FUSE filesystem")
	}
	if _, err := os.Stat("/dev/fuse"); err != nil {
		t.Skipf("needs FUSE: %v", err)
	}
	p := &powerFS{}
	p.root = &powerNode{p: p}
	dir := t.TempDir()
	server, err := fs.Mount(dir, p.root, &fs.Options{MountOptions: fuse.MountOptions{DirectMountStrict: true, FsName: "power"}})
	if err != nil {
		t.Skipf("cannot mount FUSE: %v", err)
	}
	t.Cleanup(func() {
		if err := server.Unmount(); err != nil {
			t.Errorf("unmount: %v", err)
		}
	})
	return p, dir
}

// cut switches the power off.
func (p *powerFS) cut() { p.off.Store(true) }

// remains writes what a disk would have after the cut to dir.
func (p *powerFS) remains(t *testing.T, n *powerNode, dir string) {
	t.Helper()
	p.mu.Lock()
	names := maps.Clone(n.names)
	p.mu.Unlock()
	for name, c := range names {
		path := filepath.Join(dir, name)
		if c.IsDir() {
			if err := os.MkdirAll(path, 0o700); err != nil {
				t.Fatal(err)
			}
			p.remains(t, c, path)
			continue
		}
		p.mu.Lock()
		data := append([]byte(nil), c.synced...)
		p.mu.Unlock()
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// fill copies a directory into a fresh powerFS through the mount and makes it
// durable.
func (p *powerFS) fill(t *testing.T, mount, dir string) {
	t.Helper()
	if err := os.CopyFS(mount, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	var all func(n *powerNode)
	all = func(n *powerNode) {
		n.sync()
		for _, c := range n.Children() {
			all(c.Operations().(*powerNode))
		}
	}
	all(p.root)
}

// TestPowerLoss cuts the power under a process that appends, again and again:
// everything that was not synced is gone, and with it nothing that was
// acknowledged.
func TestPowerLoss(t *testing.T) {
	h := &history{ids: make(map[uint64]string)}
	disk := t.TempDir()
	for round := range *powerRounds {
		p, mount := mountPower(t)
		p.fill(t, mount, disk)
		runChild(t, filepath.Join(mount, "journal"), round, h, func(proc *os.Process) {
			p.cut()
			_ = proc.Kill() // it may have ended by itself
		})
		disk = t.TempDir()
		p.remains(t, p.root, disk)
		t.Logf("round %d: %d syncs", round, p.syncs.Load())
		checkHistory(t, filepath.Join(disk, "journal"), h)
	}
}

// TestFailedWrite: after a write or sync failed nothing is acknowledged until
// Resume, and after Resume the power may go without taking anything acknowledged
// with it.
func TestFailedWrite(t *testing.T) {
	for _, c := range []struct {
		name string
		fail func(*powerFS)
	}{
		{"one sync fails", func(p *powerFS) { p.failed.Store(1) }},
		{"writes fail", func(p *powerFS) { p.broken.Store(int64(syscall.EIO)) }},
		{"filesystem turns read-only", func(p *powerFS) { p.broken.Store(int64(syscall.EROFS)) }},
		{"permission withdrawn", func(p *powerFS) { p.broken.Store(int64(syscall.EACCES)) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			p, mount := mountPower(t)
			p.root.sync()
			j := openTest(t, Options{Dir: filepath.Join(mount, "journal"), CursorInterval: time.Hour})
			r := openReader(t, j, "r", FromBeginning())
			appendN(t, j, 0, 20)
			c.fail(p)
			unavailable := &devices.Refusal{Reason: devices.ReasonUnavailable}
			if _, err := j.AppendWait(t.Context(), reading("aq-1", 20)); !errors.Is(err, unavailable) {
				t.Fatalf("append: %v, want unavailable", err)
			}
			p.broken.Store(0)
			for range 3 { // the disk works again, but nobody has looked at it
				if _, err := j.AppendWait(t.Context(), reading("aq-1", 20)); !errors.Is(err, unavailable) {
					t.Fatalf("append after a failed write: %v, want unavailable", err)
				}
			}
			if s := j.State(); s.Level != LevelRefusing || s.Code != CodeWriteFailed {
				t.Fatalf("state %+v, want refusing, write_failed", s)
			}
			if got, _ := drain(t, r, 20); len(got) != 20 {
				t.Errorf("read %d entries while refusing, want 20", len(got))
			}
			// A reader that needs the disk gets them too, once the engine was
			// opened again for reading.
			j.recent.mu.Lock()
			j.recent.batches, j.recent.bytes = nil, 0
			j.recent.mu.Unlock()
			if got, _ := drain(t, openReader(t, j, "disk", FromBeginning()), 20); len(got) < 20 {
				t.Errorf("read %d entries from disk while refusing, want 20", len(got))
			}
			if err := j.Resume(t.Context()); err != nil {
				t.Fatal(err)
			}
			if s := j.State(); s.Level != LevelOK {
				t.Fatalf("state after Resume %+v", s)
			}
			first, last := appendN(t, j, 100, 10)
			if first < 22 {
				t.Errorf("sequence %d after Resume: that of the failed append is used", first)
			}
			disk := t.TempDir()
			p.remains(t, p.root, disk)
			after := openTest(t, Options{Dir: filepath.Join(disk, "journal")})
			got, gaps := drain(t, openReader(t, after, "all", FromBeginning()), last)
			if len(gaps) != 0 || len(got) < 30 {
				t.Errorf("after the power went: %d entries, gaps %v, want the 30 acknowledged", len(got), gaps)
			}
		})
	}
}

// TestStalledDisk: a disk that does not answer shuts the door, keeps those
// inside waiting, and both are over when it answers.
func TestStalledDisk(t *testing.T) {
	p, mount := mountPower(t)
	p.root.sync()
	j := openTest(t, Options{Dir: filepath.Join(mount, "journal"), CursorInterval: time.Hour})
	j.patience = 50 * time.Millisecond
	appendN(t, j, 0, 5)
	answer := make(chan struct{})
	p.hang.Store(&answer)
	inside := make(chan error, 1)
	j.Append(reading("aq-1", 5), func(_ uint64, err error) { inside <- err })
	until(t, "stalled", func() bool { return j.State().Code == CodeStalled })
	if _, err := j.AppendWait(t.Context(), reading("aq-1", 6)); !errors.Is(err, &devices.Refusal{Reason: devices.ReasonUnavailable}) {
		t.Errorf("append to a stalled journal: %v, want unavailable", err)
	}
	select {
	case err := <-inside:
		t.Errorf("answered %v while the disk did not", err)
	default:
	}
	p.hang.Store(nil)
	close(answer)
	if err := <-inside; err != nil {
		t.Errorf("after the disk answered: %v", err)
	}
	until(t, "accepting again", func() bool { return j.State().Level == LevelOK })
	appendN(t, j, 6, 5)
}

// TestFailedSyncOfAFile: a write that no record waits for fails; the copy ends
// with an error instead of waiting for ever, and the journal says so.
func TestFailedSyncOfAFile(t *testing.T) {
	p, mount := mountPower(t)
	p.root.sync()
	j := openTest(t, Options{Dir: filepath.Join(mount, "journal"), CursorInterval: time.Hour})
	objects, err := j.Objects(t.Context(), "layers")
	if err != nil {
		t.Fatal(err)
	}
	if err := objects.Put(t.Context(), "wards", strings.NewReader("old")); err != nil {
		t.Fatal(err)
	}
	p.failed.Store(1)
	if err := objects.Put(t.Context(), "wards", strings.NewReader("new")); err == nil {
		t.Fatal("stored a file whose sync failed")
	}
	if s := j.State(); s.Code != CodeWriteFailed {
		t.Fatalf("state %+v, want write_failed", s)
	}
	if err := j.Resume(t.Context()); err != nil {
		t.Fatal(err)
	}
	r, err := objects.Get(t.Context(), "wards")
	if err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(r)
	if cerr := r.Close(); err != nil || cerr != nil || string(got) != "old" {
		t.Errorf("after a failed copy the file reads %q, %v, %v, want the old one", got, err, cerr)
	}
	if err := objects.Put(t.Context(), "wards", strings.NewReader("new")); err != nil {
		t.Errorf("after Resume: %v", err)
	}
}

// TestCallerGivesUp: the context of a caller that ends during a write is not
// taken for a failure of the disk.
func TestCallerGivesUp(t *testing.T) {
	p, mount := mountPower(t)
	p.root.sync()
	j := openTest(t, Options{Dir: filepath.Join(mount, "journal"), CursorInterval: time.Hour})
	b, err := j.Bucket(t.Context(), "rules")
	if err != nil {
		t.Fatal(err)
	}
	answer := make(chan struct{})
	p.hang.Store(&answer)
	before := p.syncs.Load()
	ctx, cancel := context.WithCancel(t.Context())
	put := make(chan error)
	go func() { put <- b.Put(ctx, "k", []byte("v")) }()
	until(t, "write under way", func() bool { return p.syncs.Load() > before })
	cancel()
	p.hang.Store(nil)
	close(answer)
	if err := <-put; err != nil {
		t.Errorf("put that was on disk: %v", err)
	}
	if err := b.Put(ctx, "k2", []byte("v")); !errors.Is(err, context.Canceled) {
		t.Errorf("put with an ended context: %v", err)
	}
	if s := j.State(); s.Level != LevelOK {
		t.Errorf("state %+v", s)
	}
}
