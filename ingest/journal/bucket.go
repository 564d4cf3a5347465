package journal

import (
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
)

// Bucket is a small register: keys and values, all of them in memory, every
// change on disk before it is acknowledged. It is the fold of a chain of puts
// and deletes; many keys put at once share records, so a bulk import costs a
// few syncs.
//
// When the chain has grown to several times what it says, all keys are written
// anew behind it and the front is dropped. At every moment of that the fold is
// the same.
type Bucket struct {
	name string
	c    *chain

	// change serialises changes: the order in memory is the order on disk.
	change sync.Mutex

	mu     sync.RWMutex
	values map[string][]byte
	live   int // bytes of keys and values
	stored int // bytes of records on disk
}

const (
	opPut    = 1
	opDelete = 2

	maxKey   = 512
	maxValue = softRecord
	// compactAbove keeps small registers from being written anew all the
	// time.
	compactAbove = 4 << 20
)

// Bucket opens the register of that name, creating it when it is not there.
// Every call with one name gives the same Bucket.
func (j *Journal) Bucket(ctx context.Context, name string) (*Bucket, error) {
	if err := checkName(name); err != nil {
		return nil, fmt.Errorf("open bucket: %w", err)
	}
	j.opening.Lock()
	defer j.opening.Unlock()
	if b, ok := j.buckets[name]; ok {
		return b, nil
	}
	c, err := j.chain(ctx, prefixBucket+name, kindBucket)
	if err != nil {
		return nil, fmt.Errorf("open bucket %s: %w", name, err)
	}
	b := &Bucket{name: name, c: c}
	c.attached = b.fold
	eng, release, err := j.engine()
	if err != nil {
		return nil, err
	}
	defer release()
	if err := b.fold(ctx, eng); err != nil {
		return nil, fmt.Errorf("open bucket %s: %w", name, err)
	}
	j.buckets[name] = b
	return b, nil
}

// fold reads the chain from its start into memory.
func (b *Bucket) fold(ctx context.Context, eng *engine) error {
	values := make(map[string][]byte)
	var live, stored int
	var expect, crc = uint64(0), uint32(0)
	for place := uint64(1); ; {
		at, r, err := b.c.readFrom(ctx, eng, place)
		if errors.Is(err, errNoMessage) {
			break
		}
		if err != nil {
			return err
		}
		if expect != 0 && r.first > expect && r.prev != crc {
			b.c.j.lost(Loss{Stream: b.c.stream, From: expect, To: r.first - 1, Reason: "damaged on disk", old: true})
		}
		expect, crc = r.last()+1, r.crc
		if err := applyOps(r.body, r.count, func(key string, value []byte) {
			if old, ok := values[key]; ok {
				live -= len(key) + len(old)
				delete(values, key)
			}
			if value != nil {
				values[key] = value
				live += len(key) + len(value)
			}
		}); err != nil {
			return fmt.Errorf("record %d to %d of %s: %w", r.first, r.last(), b.c.stream, err)
		}
		stored += len(r.body) + recordHeader
		place = at + 1
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.values, b.live, b.stored = values, live, stored
	return nil
}

// applyOps decodes the body of a bucket record. A nil value means delete.
func applyOps(body []byte, count uint32, f func(key string, value []byte)) error {
	text := func() []byte {
		n, w := binary.Uvarint(body)
		if w <= 0 || n > uint64(len(body)-w) {
			return nil
		}
		b := body[w : w+int(n)]
		body = body[w+int(n):]
		if b == nil {
			b = []byte{}
		}
		return b
	}
	for i := range count {
		if len(body) == 0 {
			return fmt.Errorf("%w: %d changes where %d belong", errDamaged, i, count)
		}
		op := body[0]
		body = body[1:]
		key := text()
		if key == nil || len(key) > maxKey || op != opPut && op != opDelete {
			return fmt.Errorf("%w: change %d of %d", errDamaged, i+1, count)
		}
		if op == opDelete {
			f(string(key), nil)
			continue
		}
		value := text()
		if value == nil {
			return fmt.Errorf("%w: value of change %d of %d", errDamaged, i+1, count)
		}
		f(string(key), append([]byte{}, value...))
	}
	if len(body) != 0 {
		return fmt.Errorf("%w: %d bytes after the last change", errDamaged, len(body))
	}
	return nil
}

type change struct {
	key   string
	value []byte // nil deletes
}

func (ch change) size() int { return 1 + 2*binary.MaxVarintLen32 + len(ch.key) + len(ch.value) }

func appendChange(buf []byte, ch change) []byte {
	if ch.value == nil {
		buf = append(buf, opDelete)
	} else {
		buf = append(buf, opPut)
	}
	buf = binary.AppendUvarint(buf, uint64(len(ch.key)))
	buf = append(buf, ch.key...)
	if ch.value != nil {
		buf = binary.AppendUvarint(buf, uint64(len(ch.value)))
		buf = append(buf, ch.value...)
	}
	return buf
}

// Load calls f with every key and value, by key, as they were at one moment. f
// must not change the value.
func (b *Bucket) Load(ctx context.Context, f func(key string, value []byte) error) error {
	b.mu.RLock()
	values := maps.Clone(b.values)
	b.mu.RUnlock()
	for _, key := range slices.Sorted(maps.Keys(values)) {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := f(key, values[key]); err != nil {
			return err
		}
	}
	return nil
}

// Get returns the value of key; nobody may change it.
func (b *Bucket) Get(key string) (value []byte, ok bool) {
	b.mu.RLock()
	defer b.mu.RUnlock()
	value, ok = b.values[key]
	return value, ok
}

// Put sets key to value, on disk when it returns nil.
func (b *Bucket) Put(ctx context.Context, key string, value []byte) error {
	return b.write(ctx, []change{{key, notNil(value)}})
}

// PutAll sets many keys. They go to disk by key, packed into records of about
// 1 MiB; each record is all or nothing, and after an error the keys of the
// records before it are set.
func (b *Bucket) PutAll(ctx context.Context, values map[string][]byte) error {
	changes := make([]change, 0, len(values))
	for key, value := range values {
		changes = append(changes, change{key, notNil(value)})
	}
	slices.SortFunc(changes, func(x, y change) int { return cmp.Compare(x.key, y.key) })
	return b.write(ctx, changes)
}

// Delete removes key. It is no error when it was not there.
func (b *Bucket) Delete(ctx context.Context, key string) error {
	if _, ok := b.Get(key); !ok {
		return nil
	}
	return b.write(ctx, []change{{key, nil}})
}

func (b *Bucket) keys() []string {
	b.mu.RLock()
	defer b.mu.RUnlock()
	return slices.Collect(maps.Keys(b.values))
}

func notNil(v []byte) []byte { return append([]byte{}, v...) }

func (b *Bucket) write(ctx context.Context, changes []change) error {
	for _, ch := range changes {
		if ch.key == "" || len(ch.key) > maxKey || len(ch.value) > maxValue {
			return fmt.Errorf("bucket %s: key %.80q with %d bytes, keys have 1 to %d, values up to %d", b.name, ch.key, len(ch.value), maxKey, maxValue)
		}
	}
	b.change.Lock()
	defer b.change.Unlock()
	for part := range packed(changes) {
		n, err := b.record(ctx, part)
		if err != nil {
			return fmt.Errorf("bucket %s: %w", b.name, err)
		}
		b.apply(part, n)
	}
	b.mu.RLock()
	bloated := b.stored > compactAbove && b.stored > 4*b.live
	b.mu.RUnlock()
	if bloated {
		if err := b.compact(ctx); err != nil {
			// What was asked for is on disk; only the space is not free yet.
			b.c.j.o.Log.Warn("bucket not compacted", "bucket", b.name, "error", err)
		}
	}
	return nil
}

// packed cuts changes into runs that fit a record.
func packed(changes []change) func(func([]change) bool) {
	return func(yield func([]change) bool) {
		for len(changes) > 0 {
			n, size := 0, 0
			for n < len(changes) && (n == 0 || size+changes[n].size() <= softRecord) {
				size += changes[n].size()
				n++
			}
			if !yield(changes[:n]) {
				return
			}
			changes = changes[n:]
		}
	}
}

func (b *Bucket) record(ctx context.Context, part []change) (int, error) {
	buf := beginRecord(nil)
	for _, ch := range part {
		buf = appendChange(buf, ch)
	}
	_, err := b.c.append(ctx, buf, uint32(len(part)), b.c.j.now())
	return len(buf), err
}

func (b *Bucket) apply(part []change, stored int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, ch := range part {
		if old, ok := b.values[ch.key]; ok {
			b.live -= len(ch.key) + len(old)
			delete(b.values, ch.key)
		}
		if ch.value != nil {
			b.values[ch.key] = ch.value
			b.live += len(ch.key) + len(ch.value)
		}
	}
	b.stored += stored
}

// compact writes every key anew and drops what lies before. change is held.
func (b *Bucket) compact(ctx context.Context) error {
	_, before := b.c.end()
	var all []change
	b.mu.RLock()
	for key, value := range b.values {
		all = append(all, change{key, value})
	}
	b.mu.RUnlock()
	if len(all) == 0 {
		return nil
	}
	slices.SortFunc(all, func(x, y change) int { return cmp.Compare(x.key, y.key) })
	stored := 0
	for part := range packed(all) {
		n, err := b.record(ctx, part)
		if err != nil {
			return err
		}
		stored += n
	}
	eng, release, err := b.c.j.engine()
	if err != nil {
		return err
	}
	defer release()
	if err := eng.purge(ctx, b.c.stream, before+1); err != nil {
		return err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.stored = stored
	return nil
}
