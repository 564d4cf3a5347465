package journal

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"

	"github.com/nats-io/nats.go/jetstream"
)

// Objects keeps whole files under names: map layers, firmware images. A file is
// written beside the old one and takes its place when all of it is on disk.
// What is read is checked against the SHA-256 taken when it was written.
type Objects struct {
	j    *Journal
	name string
}

// Objects opens the store of files of that name, creating it when it is not
// there.
func (j *Journal) Objects(ctx context.Context, name string) (*Objects, error) {
	if err := checkName(name); err != nil {
		return nil, fmt.Errorf("open objects: %w", err)
	}
	o := &Objects{j: j, name: name}
	_, _, cancel, err := o.store(ctx)
	if err != nil {
		return nil, err
	}
	cancel()
	return o, nil
}

// store opens the object store in the engine that runs now. The engine is not
// kept from being exchanged meanwhile, because a copy takes as long as its other
// side likes; the context that is returned ends with it.
func (o *Objects) store(ctx context.Context) (jetstream.ObjectStore, context.Context, context.CancelFunc, error) {
	eng, release, err := o.j.engine()
	if err != nil {
		return nil, nil, nil, err
	}
	defer release()
	ctx, cancel := context.WithCancelCause(ctx)
	stop := context.AfterFunc(eng.ctx, func() { cancel(errEngine) })
	s, err := eng.js.ObjectStore(ctx, o.name)
	if errors.Is(err, jetstream.ErrBucketNotFound) {
		s, err = eng.js.CreateObjectStore(ctx, jetstream.ObjectStoreConfig{Bucket: o.name, Storage: jetstream.FileStorage})
	}
	if err != nil {
		cancel(nil)
		stop()
		return nil, nil, nil, fmt.Errorf("open objects %s: %w", o.name, err)
	}
	return s, ctx, func() { stop(); cancel(nil) }, nil
}

// Put stores all of r under name. It does not know the size beforehand, so the
// reserve of free space is looked at as it goes.
func (o *Objects) Put(ctx context.Context, name string, r io.Reader) error {
	s, ctx, cancel, err := o.store(ctx)
	if err != nil {
		return err
	}
	defer cancel()
	if _, err := s.Put(ctx, jetstream.ObjectMeta{Name: name}, &spaced{r, o.j}); err != nil {
		return fmt.Errorf("store object %s/%s: %w", o.name, name, err)
	}
	return syncNames(o.j.o.Dir, blocksDir(o.j.o.Dir, objectsPrefix+o.name))
}

// spaced ends a copy before it eats the reserve.
type spaced struct {
	r io.Reader
	j *Journal
}

func (s *spaced) Read(p []byte) (int, error) {
	if err := s.j.admit(nil, len(p)); err != nil {
		return 0, err
	}
	return s.r.Read(p)
}

// Get opens the object for reading; fs.ErrNotExist when there is none. Damage
// shows as an error of the last Read. ctx has to live until Close.
func (o *Objects) Get(ctx context.Context, name string) (io.ReadCloser, error) {
	s, ctx, cancel, err := o.store(ctx)
	if err != nil {
		return nil, err
	}
	r, err := s.Get(ctx, name)
	if err != nil {
		cancel()
		if errors.Is(err, jetstream.ErrObjectNotFound) {
			err = fs.ErrNotExist
		}
		return nil, fmt.Errorf("read object %s/%s: %w", o.name, name, err)
	}
	or := &objectReader{ObjectResult: r, cancel: cancel}
	// A Read that waits for an engine that has gone would wait for ever.
	or.unwatch = context.AfterFunc(ctx, func() { _ = r.Close() })
	return or, nil
}

type objectReader struct {
	jetstream.ObjectResult
	unwatch func() bool
	cancel  context.CancelFunc
}

func (r *objectReader) Close() error {
	r.unwatch()
	r.cancel()
	return r.ObjectResult.Close()
}

// List returns the names of the objects, sorted.
func (o *Objects) List(ctx context.Context) ([]string, error) {
	s, ctx, cancel, err := o.store(ctx)
	if err != nil {
		return nil, err
	}
	defer cancel()
	infos, err := s.List(ctx)
	if err != nil && !errors.Is(err, jetstream.ErrNoObjectsFound) {
		return nil, fmt.Errorf("list objects %s: %w", o.name, err)
	}
	var names []string
	for _, i := range infos {
		names = append(names, i.Name)
	}
	slices.Sort(names)
	return names, nil
}

// Delete removes an object. It is no error when there is none.
func (o *Objects) Delete(ctx context.Context, name string) error {
	s, ctx, cancel, err := o.store(ctx)
	if err != nil {
		return err
	}
	defer cancel()
	if err := s.Delete(ctx, name); err != nil && !errors.Is(err, jetstream.ErrObjectNotFound) {
		return fmt.Errorf("delete object %s/%s: %w", o.name, name, err)
	}
	return nil
}
