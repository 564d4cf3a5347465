package audit

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"sync"
)

// Store keeps the names. *journal.Bucket is one.
type Store interface {
	Load(ctx context.Context, each func(key string, value []byte) error) error
	Put(ctx context.Context, key string, value []byte) error
	Delete(ctx context.Context, key string) error
}

// Names knows the people behind the pseudonyms of the chain. Erasing one leaves
// the pseudonym with nobody behind it. The store keeps a pseudonym's account and
// name under it; a deletion there is a deletion on disk once it compacts.
type Names struct {
	store Store

	mu    sync.Mutex
	of    map[string]string // account to pseudonym
	known map[string]named  // by pseudonym
}

type named struct {
	Account string `json:"account"`
	Name    string `json:"name"`
}

// OpenNames loads the names.
func OpenNames(ctx context.Context, store Store) (*Names, error) {
	n := &Names{store: store, of: map[string]string{}, known: map[string]named{}}
	err := store.Load(ctx, func(key string, value []byte) error {
		var p named
		if err := json.Unmarshal(value, &p); err != nil {
			return fmt.Errorf("%s: %w", key, err)
		}
		n.known[key], n.of[p.Account] = p, key
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("audit: load the names: %w", err)
	}
	return n, nil
}

// Pseudonym gives the pseudonym of an account, a new one at the first time.
func (n *Names) Pseudonym(ctx context.Context, account, name string) (string, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	id, ok := n.of[account]
	if ok && n.known[id].Name == name {
		return id, nil
	}
	if !ok {
		id = "p-" + rand.Text()[:16]
	}
	raw, err := json.Marshal(named{account, name})
	if err != nil {
		return "", err
	}
	if err := n.store.Put(ctx, id, raw); err != nil {
		if ok {
			return id, nil // an old name does
		}
		return "", fmt.Errorf("audit: keep who %s is: %w", id, err)
	}
	n.of[account], n.known[id] = id, named{account, name}
	return id, nil
}

// Name is who is behind a pseudonym, "" for nobody any more.
func (n *Names) Name(id string) string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.known[id].Name
}

// Erase forgets who an account's pseudonym was, and gives the pseudonym, "" when
// the chain does not know the account.
func (n *Names) Erase(ctx context.Context, account string) (string, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	id, ok := n.of[account]
	if !ok {
		return "", nil
	}
	if err := n.store.Delete(ctx, id); err != nil {
		return "", fmt.Errorf("audit: erase who %s is: %w", id, err)
	}
	delete(n.of, account)
	delete(n.known, id)
	return id, nil
}

// Find gives the pseudonyms whose account or name is text.
func (n *Names) Find(text string) []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	var out []string
	for id, p := range n.known {
		if p.Account == text || p.Name == text {
			out = append(out, id)
		}
	}
	return out
}
