package geo

import (
	"container/list"
	"context"
	"sync"

	"github.com/prometheus/client_golang/prometheus"
)

// tileCache keeps encoded tiles, the least recently asked for going first when
// they exceed a number of bytes. A tile asked for by several at once is made
// once. The tiles of a replaced version are never asked for again and go the
// same way.
type tileCache struct {
	max          int
	hits, misses prometheus.Counter

	mu    sync.Mutex
	bytes int
	tiles map[tileKey]*list.Element
	order *list.List // of *cachedTile, the latest asked for first
}

type tileKey struct {
	layer   string
	stamp   int64
	z, x, y uint32
}

type cachedTile struct {
	key   tileKey
	ready chan struct{} // closed when data or err is set
	data  []byte
	err   error
	size  int
}

// tileOverhead is what a cached tile costs beside its bytes.
const tileOverhead = 256

func (c *tileCache) get(ctx context.Context, key tileKey, build func() ([]byte, error)) ([]byte, error) {
	c.mu.Lock()
	if e, ok := c.tiles[key]; ok {
		c.order.MoveToFront(e)
		c.mu.Unlock()
		c.hits.Inc()
		t := e.Value.(*cachedTile)
		select {
		case <-t.ready:
			return t.data, t.err
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
	t := &cachedTile{key: key, ready: make(chan struct{}), size: tileOverhead}
	c.tiles[key] = c.order.PushFront(t)
	c.bytes += t.size
	c.mu.Unlock()
	c.misses.Inc()

	defer close(t.ready)
	t.data, t.err = build()
	c.made(t)
	return t.data, t.err
}

// made accounts for a finished tile. One that failed is forgotten, so that the
// next who asks tries again.
func (c *tileCache) made(t *cachedTile) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e, ok := c.tiles[t.key]
	if !ok || e.Value != t {
		return // pushed out while it was made
	}
	if t.err != nil {
		c.drop(e)
		return
	}
	t.size += len(t.data)
	c.bytes += len(t.data)
	for c.bytes > c.max && c.order.Len() > 1 {
		c.drop(c.order.Back())
	}
}

func (c *tileCache) drop(e *list.Element) {
	t := c.order.Remove(e).(*cachedTile)
	delete(c.tiles, t.key)
	c.bytes -= t.size
}
