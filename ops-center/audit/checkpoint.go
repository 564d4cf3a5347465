package audit

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// Checkpoint says which line the chain had reached, signed. Carried away, it
// holds the chain to it.
type Checkpoint struct {
	N    uint64    `json:"n"`
	Hash string    `json:"hash"`
	At   time.Time `json:"at"`
	// Signature is Ed25519, in base64, over the text that signed gives.
	Signature string `json:"signature"`
}

// signed is what is signed: a line that nothing else signs.
func (c *Checkpoint) signed() []byte {
	return fmt.Appendf(nil, "vonglau audit checkpoint %d %s %s\n", c.N, c.Hash, c.At.UTC().Format(time.RFC3339Nano))
}

// Check says what is wrong with a checkpoint.
func (c *Checkpoint) Check(key []byte) error {
	if len(key) != ed25519.PublicKeySize {
		return errors.New("there is no key to check it with")
	}
	sig, err := base64.StdEncoding.DecodeString(c.Signature)
	if err != nil || !ed25519.Verify(key, c.signed(), sig) {
		return errors.New("it is not signed by this server's key")
	}
	return nil
}

// PublicKey checks this record's checkpoints; nil when it makes none.
func (r *Record) PublicKey() ed25519.PublicKey {
	if r.opt.Key == nil {
		return nil
	}
	return r.opt.Key.Public().(ed25519.PublicKey)
}

// Mark signs the newest record and keeps the checkpoint. It gives the last one
// when nothing came since.
func (r *Record) Mark(ctx context.Context) (Checkpoint, error) {
	if r.opt.Key == nil {
		return Checkpoint{}, errors.New("audit: this server has no key to sign with")
	}
	n, hash, _ := r.Head()
	if n == 0 {
		return Checkpoint{}, errors.New("audit: there is no record to sign")
	}
	c := Checkpoint{N: n, Hash: hash, At: r.opt.Now().UTC().Truncate(time.Millisecond)}
	c.Signature = base64.StdEncoding.EncodeToString(ed25519.Sign(r.opt.Key, c.signed()))
	raw, err := json.Marshal(c)
	if err != nil {
		return c, err
	}
	if err := r.opt.Marks.AppendAll(ctx, [][]byte{raw}); err != nil {
		return c, fmt.Errorf("audit: keep the checkpoint: %w", err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.marked, r.markedAt = max(r.marked, n), c.At
	return c, nil
}

// Checkpoints lists those that are kept, the oldest first.
func (r *Record) Checkpoints(ctx context.Context) (list []Checkpoint, err error) {
	err = r.opt.Marks.Read(ctx, 1, func(_ uint64, line []byte) error {
		var c Checkpoint
		if err := json.Unmarshal(line, &c); err != nil {
			c.Hash = "unreadable"
		}
		list = append(list, c)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("audit: read the checkpoints: %w", err)
	}
	return list, nil
}

func (r *Record) findMark(ctx context.Context) error {
	list, err := r.Checkpoints(ctx)
	if err != nil {
		return err
	}
	if len(list) > 0 {
		last := list[len(list)-1]
		r.marked, r.markedAt = last.N, last.At
	}
	return nil
}

// markWhenDue is the writer's.
func (r *Record) markWhenDue() {
	r.mu.Lock()
	due := r.opt.Key != nil && r.n > r.marked && r.opt.Now().Sub(r.markedAt) >= r.opt.CheckpointEvery && r.trouble == nil
	r.mu.Unlock()
	if !due {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), writeWait)
	defer cancel()
	if _, err := r.Mark(ctx); err != nil {
		r.opt.Log.Warn("no checkpoint of the audit record was made", "error", err)
	}
}

// KeyFile and PublicKeyFile are in the data folder.
const (
	KeyFile       = "audit.key"
	PublicKeyFile = "audit.pub"
)

// OpenKey reads the key that signs checkpoints, or makes it: PKCS #8 in PEM,
// mode 0600, and beside it the public key, for whoever verifies.
func OpenKey(dir string) (ed25519.PrivateKey, error) {
	file := filepath.Join(dir, KeyFile)
	raw, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		_, key, err := ed25519.GenerateKey(rand.Reader)
		if err != nil {
			return nil, fmt.Errorf("audit: make the key: %w", err)
		}
		if err := writeKey(dir, key); err != nil {
			return nil, fmt.Errorf("audit: keep the key: %w", err)
		}
		return key, nil
	}
	if err != nil {
		return nil, fmt.Errorf("audit: read the key: %w", err)
	}
	block, _ := pem.Decode(raw)
	if block == nil {
		return nil, fmt.Errorf("audit: %s is no key in PEM", file)
	}
	any, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("audit: %s: %w", file, err)
	}
	key, ok := any.(ed25519.PrivateKey)
	if !ok {
		return nil, fmt.Errorf("audit: %s holds a %T, want Ed25519", file, any)
	}
	return key, nil
}

func writeKey(dir string, key ed25519.PrivateKey) error {
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	public, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		return err
	}
	for _, f := range []struct {
		name, kind string
		der        []byte
		mode       os.FileMode
	}{{PublicKeyFile, "PUBLIC KEY", public, 0o644}, {KeyFile, "PRIVATE KEY", private, 0o600}} {
		path := filepath.Join(dir, f.name)
		if err := os.WriteFile(path+".new", pem.EncodeToMemory(&pem.Block{Type: f.kind, Bytes: f.der}), f.mode); err != nil {
			return err
		}
		if err := os.Rename(path+".new", path); err != nil {
			return err
		}
	}
	return nil
}

// ReadPublicKey reads what checks checkpoints.
func ReadPublicKey(file string) (ed25519.PublicKey, error) {
	raw, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(raw)
	if block == nil {
		return nil, fmt.Errorf("%s is no key in PEM", file)
	}
	any, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	key, ok := any.(ed25519.PublicKey)
	if !ok {
		return nil, fmt.Errorf("%s holds a %T, want Ed25519", file, any)
	}
	return key, nil
}

// ParseCheckpoint reads one that was carried away.
func ParseCheckpoint(raw []byte) (c Checkpoint, err error) {
	if err = json.Unmarshal(raw, &c); err != nil {
		return c, fmt.Errorf("no checkpoint: %w", err)
	}
	if c.N == 0 || c.Hash == "" || c.Signature == "" {
		return c, errors.New("no checkpoint: n, hash, at and signature are needed")
	}
	return c, nil
}
