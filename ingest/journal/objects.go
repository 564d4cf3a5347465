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
	_, release, err := o.store(ctx)
	if err != nil {
		return nil, err
	}
	release()
	return o, nil
}

func (o *Objects) store(ctx context.Context) (jetstream.ObjectStore, func(), error) {
	eng, release, err := o.j.engine()
	if err != nil {
		return nil, nil, err
	}
	s, err := eng.js.CreateOrUpdateObjectStore(ctx, jetstream.ObjectStoreConfig{Bucket: o.name, Storage: jetstream.FileStorage})
	if err != nil {
		release()
		return nil, nil, fmt.Errorf("open objects %s: %w", o.name, err)
	}
	return s, release, nil
}

// Put stores all of r under name. It does not know the size beforehand, so the
// reserve of free space is looked at as it goes.
func (o *Objects) Put(ctx context.Context, name string, r io.Reader) error {
	s, release, err := o.store(ctx)
	if err != nil {
		return err
	}
	defer release()
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
// shows as an error of the last Read. While it is open the journal cannot
// exchange a failed storage engine, so read it in one go.
func (o *Objects) Get(ctx context.Context, name string) (io.ReadCloser, error) {
	s, release, err := o.store(ctx)
	if err != nil {
		return nil, err
	}
	r, err := s.Get(ctx, name)
	if err != nil {
		release()
		if errors.Is(err, jetstream.ErrObjectNotFound) {
			err = fs.ErrNotExist
		}
		return nil, fmt.Errorf("read object %s/%s: %w", o.name, name, err)
	}
	return &objectReader{r, release}, nil
}

type objectReader struct {
	jetstream.ObjectResult
	release func()
}

func (r *objectReader) Close() error {
	err := r.ObjectResult.Close()
	if r.release != nil {
		r.release()
		r.release = nil
	}
	return err
}

// List returns the names of the objects, sorted.
func (o *Objects) List(ctx context.Context) ([]string, error) {
	s, release, err := o.store(ctx)
	if err != nil {
		return nil, err
	}
	defer release()
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
	s, release, err := o.store(ctx)
	if err != nil {
		return err
	}
	defer release()
	if err := s.Delete(ctx, name); err != nil && !errors.Is(err, jetstream.ErrObjectNotFound) {
		return fmt.Errorf("delete object %s/%s: %w", o.name, name, err)
	}
	return nil
}
