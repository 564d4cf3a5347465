package firmwaresim

import (
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"
	"github.com/plgd-dev/go-coap/v3/message"
	"github.com/plgd-dev/go-coap/v3/message/codes"
	"github.com/plgd-dev/go-coap/v3/options"
	"github.com/plgd-dev/go-coap/v3/udp"
	"github.com/plgd-dev/go-coap/v3/udp/client"

	"vonglau/devices"
)

// BoardOptions of Boards.
type BoardOptions struct {
	API  *Server
	MQTT string // where commands come from
	CoAP string // every second board fetches images here, in blocks; none when empty
	// Boards are registered already. The first RevB of them have hardware
	// revision b, the others a.
	Boards []Registration
	RevB   int
	// Version is what they leave the factory with, Key what they know the
	// city's images by.
	Version string
	Key     ed25519.PublicKey
	// PowerCuts is the share of updates during which the power fails once, at
	// any moment from the first byte to the first boot.
	PowerCuts float64
	// Off is how long it is away.
	Off  time.Duration
	Seed uint64
}

// BoardStats counts what happened to boards.
type BoardStats struct {
	Commands, Late, PowerCuts, Resumed, Installed, RolledBack, Refused atomic.Uint64
}

// Boards are devices that do as they are told: they take commands over MQTT and
// firmware by blocks or ranges, check who signed it, and come back from a loss
// of power in the middle and from an image that does not work.
type Boards struct {
	opt    BoardOptions
	Stats  BoardStats
	boards []*board
	http   *http.Client
	coap   *coapShared
}

// BoardState is what a board really runs.
type BoardState struct {
	ID       devices.ID `json:"id"`
	Version  string     `json:"version"`
	Hardware string     `json:"hardware"`
	Busy     bool       `json:"busy"` // an image is on its way
}

// BoardRegistrations names n boards: prefix and a number from 1.
func BoardRegistrations(prefix, profile string, n int) []Registration {
	list := make([]Registration, n)
	for i := range list {
		list[i] = Registration{ID: devices.ID(fmt.Sprintf("%s%05d", prefix, i+1)), Profile: profile, Simulated: true}
	}
	return list
}

// NewBoards makes boards as they leave the factory.
func NewBoards(o BoardOptions) (*Boards, error) {
	if len(o.Key) != ed25519.PublicKeySize || o.API == nil || o.MQTT == "" {
		return nil, errors.New("boards: API, MQTT and Key are needed")
	}
	if o.Off == 0 {
		o.Off = time.Second
	}
	factory, err := MakeImage(o.Version, 1024)
	if err != nil {
		return nil, err
	}
	b := &Boards{opt: o, http: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64, IdleConnTimeout: 30 * time.Second}}, coap: newCoAPShared()}
	for i, r := range o.Boards {
		x := &board{
			all: b, id: r.ID, token: r.Token, profile: r.Profile, hardware: "a", blocks: o.CoAP != "" && i%2 == 1,
			rng: newRand(salt(o.Seed, string(r.ID))), wake: make(chan struct{}, 1),
		}
		if i < o.RevB {
			x.hardware = "b"
		}
		x.flash.slots[0] = factory
		b.boards = append(b.boards, x)
	}
	return b, nil
}

// Run is the boards' life until ctx ends.
func (b *Boards) Run(ctx context.Context) {
	var running sync.WaitGroup
	for _, x := range b.boards {
		running.Add(1)
		go x.run(ctx, &running)
	}
	running.Wait()
	b.coap.close()
	b.http.CloseIdleConnections()
}

// State tells what every board runs.
func (b *Boards) State() []BoardState {
	list := make([]BoardState, len(b.boards))
	for i, x := range b.boards {
		list[i] = BoardState{x.id, x.flash.version(), x.hardware, x.busy()}
	}
	return list
}

// board is one device. All of it but flash is lost with the power.
type board struct {
	all                      *Boards
	id                       devices.ID
	token, profile, hardware string
	blocks                   bool
	rng                      *rand.Rand
	flash                    flash
	wake                     chan struct{} // flash has something to do
	cutAfter                 int           // bytes of the image at work until the power fails, -1 for never
}

// What ends a life.
var (
	errPower  = errors.New("the power failed")
	errReboot = errors.New("reboot")
)

func (b *board) busy() bool {
	b.flash.mu.Lock()
	defer b.flash.mu.Unlock()
	return b.flash.job != nil || len(b.flash.inbox) > 0
}

func (b *board) run(ctx context.Context, running *sync.WaitGroup) {
	defer running.Done()
	wait := backoff{first: 500 * time.Millisecond, most: 30 * time.Second}
	b.cutAfter = -1
	pause := time.Duration(b.rng.Int64N(int64(time.Second)))
	for {
		select {
		case <-ctx.Done():
			return
		case <-time.After(pause):
		}
		rolledBack, installed := b.flash.boot(b.hardware)
		if rolledBack {
			b.all.Stats.RolledBack.Add(1)
		}
		if installed {
			b.all.Stats.Installed.Add(1)
		}
		started := time.Now()
		switch err := b.live(ctx); {
		case errors.Is(err, errPower):
			b.all.Stats.PowerCuts.Add(1)
			pause = b.all.opt.Off
			wait.reset()
		case errors.Is(err, errReboot):
			pause = 100 * time.Millisecond
			wait.reset()
		default:
			if time.Since(started) > time.Minute {
				wait.reset()
			}
			pause = wait.next(b.rng)
		}
	}
}

// live is one life, from power to the loss of power or of the link.
func (b *board) live(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	lost := make(chan struct{})
	var once sync.Once
	var conn *flakyConn
	topic := "devices/" + string(b.id) + "/commands"
	o := mqtt.NewClientOptions().AddBroker("tcp://" + b.all.opt.MQTT).
		SetClientID(string(b.id) + "-board").SetUsername(string(b.id)).SetPassword(b.token).SetProtocolVersion(4).
		SetCleanSession(false).SetAutoReconnect(false).SetConnectRetry(false).SetOrderMatters(false).
		SetKeepAlive(30 * time.Second).SetPingTimeout(10 * time.Second).SetConnectTimeout(connectTimeout).SetWriteTimeout(writeTimeout).
		SetConnectionLostHandler(func(mqtt.Client, error) { once.Do(func() { close(lost) }) }).
		SetDefaultPublishHandler(func(_ mqtt.Client, m mqtt.Message) { b.receive(m.Payload()) }).
		SetCustomOpenConnectionFn(func(*url.URL, mqtt.ClientOptions) (net.Conn, error) {
			var err error
			if conn, err = dialFlaky(ctx, b.all.opt.MQTT); err != nil {
				return nil, err
			}
			return conn, nil
		})
	c := mqtt.NewClient(o)
	if t := c.Connect(); t.Wait() && t.Error() != nil {
		return t.Error()
	}
	politely := true
	defer func() {
		if politely {
			c.Disconnect(100)
			conn.sever()
			return
		}
		conn.sever()
		select {
		case <-lost:
		case <-time.After(connectTimeout):
		}
		c.Disconnect(0)
	}()
	// A message is acknowledged when the handler returns: it is in flash then.
	if t := c.Subscribe(topic, 1, func(_ mqtt.Client, m mqtt.Message) { b.receive(m.Payload()) }); !t.WaitTimeout(connectTimeout) || t.Error() != nil {
		politely = false
		return errors.Join(errors.New("not subscribed"), t.Error())
	}
	for {
		for {
			s, ok := b.flash.unheard()
			if !ok {
				break
			}
			t := c.Publish(topic+"/ack", 1, false, s.payload)
			select {
			case <-t.Done():
			case <-lost:
				return errors.New("the link is gone")
			case <-ctx.Done():
				return ctx.Err()
			case <-time.After(ackPatience):
				politely = false
				return errors.New("an answer was not acknowledged")
			}
			if t.Error() != nil {
				return t.Error()
			}
			b.flash.heard(s)
		}
		worked, err := b.work(ctx)
		if errors.Is(err, errPower) {
			politely = false
		}
		if err != nil {
			return err
		}
		if worked {
			continue
		}
		select {
		case <-b.wake:
		case <-lost:
			return errors.New("the link is gone")
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (b *board) receive(payload []byte) {
	var g given
	if json.Unmarshal(payload, &g) != nil || g.ID == "" {
		return
	}
	b.all.Stats.Commands.Add(1)
	if !g.Expires.After(time.Now()) {
		b.all.Stats.Late.Add(1) // never done late, whoever let it through
		return
	}
	b.flash.take(g)
	select {
	case b.wake <- struct{}{}:
	default:
	}
}

// work does the next thing there is to do.
func (b *board) work(ctx context.Context) (worked bool, err error) {
	b.flash.mu.Lock()
	j := b.flash.job
	var g given
	if j == nil && len(b.flash.inbox) > 0 {
		g = b.flash.inbox[0]
		b.flash.inbox = b.flash.inbox[1:]
	}
	b.flash.mu.Unlock()
	switch {
	case j != nil:
		return true, b.update(ctx, j)
	case g.ID == "":
		return false, nil
	case !g.Expires.After(time.Now()):
		b.all.Stats.Late.Add(1)
		b.flash.say(g.ID, devices.CommandFailed, map[string]string{"cause": "expired"})
	case g.Name == devices.CommandFirmware:
		b.begin(g)
	case g.Name == "reboot":
		b.flash.say(g.ID, devices.CommandDone, nil)
		return true, errReboot
	case g.Name == "report" || g.Name == "identify":
		b.flash.say(g.ID, devices.CommandDone, map[string]string{"version": b.flash.version(), "hardware": b.hardware})
	default:
		b.flash.say(g.ID, devices.CommandFailed, map[string]string{"cause": "unknown command"})
	}
	return true, nil
}

// begin takes up an image when the city has signed it and it is for this board.
func (b *board) begin(g given) {
	var m devices.Firmware
	running := b.flash.version()
	refuse := func(cause string) {
		b.all.Stats.Refused.Add(1)
		b.flash.say(g.ID, devices.CommandFailed, devices.FirmwareReport{Version: running, Cause: cause})
	}
	switch err := json.Unmarshal(g.Args, &m); {
	case err != nil || m.Check() != nil:
		refuse("manifest")
		return
	case m.Verify(b.all.opt.Key) != nil:
		refuse("signature")
		return
	case m.Profile != b.profile:
		refuse("wrong_profile")
		return
	case m.Version == running:
		b.flash.say(g.ID, devices.CommandDone, devices.FirmwareReport{Version: running})
		return
	}
	b.cutAfter = -1
	if b.rng.Float64() < b.all.opt.PowerCuts {
		// Any moment up to the first boot, which counts as the last byte.
		b.cutAfter = int(b.rng.Int64N(m.Size + m.Size/8 + 1))
	}
	b.flash.mu.Lock()
	b.flash.job = &job{command: g.ID, manifest: m}
	b.flash.mu.Unlock()
	b.flash.say(g.ID, devices.CommandAcknowledged, devices.FirmwareReport{Version: running, Phase: "download"})
}

// errFetch is a transfer that goes on later.
var errFetch = errors.New("the transfer was cut off")

// update brings an image from the server into the other slot and boots it.
func (b *board) update(ctx context.Context, j *job) error {
	if n := len(j.part); n > 0 && int64(n) < j.manifest.Size {
		b.all.Stats.Resumed.Add(1)
	}
	fetch := b.fetchRange
	if b.blocks {
		fetch = b.fetchBlocks
	}
	if err := fetch(ctx, j); err != nil {
		return err
	}
	sum := sha256.Sum256(j.part)
	if hex.EncodeToString(sum[:]) != j.manifest.SHA256 {
		if j.spoiled++; j.spoiled < 3 {
			j.part = nil
			return nil
		}
		b.flash.mu.Lock()
		b.flash.job = nil
		b.flash.mu.Unlock()
		b.all.Stats.Refused.Add(1)
		b.flash.say(j.command, devices.CommandFailed, devices.FirmwareReport{Version: b.flash.version(), Cause: "hash"})
		return nil
	}
	b.flash.mu.Lock()
	b.flash.slots[1-b.flash.active] = j.part
	b.flash.active, b.flash.trial = 1-b.flash.active, true
	b.flash.mu.Unlock()
	if b.cutAfter >= 0 { // after the swap, before the first boot has proven it
		b.cutAfter = -1
		return errPower
	}
	return errReboot
}

// arrived keeps a piece; the power may fail over it.
func (b *board) arrived(j *job, piece []byte) error {
	if b.cutAfter >= 0 && len(j.part)+len(piece) > b.cutAfter {
		j.part = append(j.part, piece[:max(0, b.cutAfter-len(j.part))]...)
		b.cutAfter = -1
		return errPower
	}
	if int64(len(j.part)+len(piece)) > j.manifest.Size {
		return fmt.Errorf("%w: more bytes than the manifest says", errFetch)
	}
	j.part = append(j.part, piece...)
	return nil
}

// fetchRange goes on with the image over HTTP (RFC 9110 section 14).
func (b *board) fetchRange(ctx context.Context, j *job) error {
	if int64(len(j.part)) == j.manifest.Size {
		return nil
	}
	target := strings.TrimSuffix(b.all.opt.API.URL, "/") + "/v1/devices/" + string(b.id) + "/firmware/" + j.manifest.Name
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, target, nil)
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+b.token)
	req.Header.Set("Range", fmt.Sprintf("bytes=%d-", len(j.part)))
	req.Header.Set("If-Range", `"`+j.manifest.SHA256+`"`)
	res, err := b.all.http.Do(req)
	if err != nil {
		return fmt.Errorf("%w: %w", errFetch, err)
	}
	defer func() { _ = res.Body.Close() }()
	switch res.StatusCode {
	case http.StatusPartialContent:
	case http.StatusOK:
		j.part = nil // the whole of it, because it is another
	default:
		return fmt.Errorf("%w: status %d", errFetch, res.StatusCode)
	}
	piece := make([]byte, 1024)
	for {
		n, err := res.Body.Read(piece)
		if kept := b.arrived(j, piece[:n]); kept != nil {
			return kept
		}
		if errors.Is(err, io.EOF) && int64(len(j.part)) == j.manifest.Size {
			return nil
		}
		if err != nil {
			return fmt.Errorf("%w: %w", errFetch, err)
		}
	}
}

// fetchBlocks goes on with the image over CoAP, block by block, each asked for
// by its number (RFC 7959 section 2.4).
func (b *board) fetchBlocks(ctx context.Context, j *job) error {
	const szx, size = 5, 512
	conn, err := udp.Dial(b.all.opt.CoAP,
		options.WithContext(ctx), options.WithErrors(func(error) {}), options.WithBlockwise(false, 0, 0),
		options.WithPeriodicRunner(b.all.coap.runner), options.WithMessagePool(b.all.coap.pool),
		options.WithTransmission(1, ackTimeout, maxRetransmit),
	)
	if err != nil {
		return fmt.Errorf("%w: %w", errFetch, err)
	}
	defer func() { _ = conn.Close(); <-conn.Done() }()
	j.part = j.part[:len(j.part)/size*size] // flash is written by blocks
	for int64(len(j.part)) < j.manifest.Size {
		piece, err := b.fetchBlock(ctx, conn, j, uint32(len(j.part)/size)<<4|szx)
		if err != nil {
			return err
		}
		if err := b.arrived(j, piece); err != nil {
			return err
		}
	}
	return nil
}

func (b *board) fetchBlock(ctx context.Context, conn *client.Conn, j *job, block uint32) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, exchangeTime)
	defer cancel()
	buf := make([]byte, 4)
	n, err := message.EncodeUint32(buf, block)
	if err != nil {
		return nil, err
	}
	res, err := conn.Get(ctx, "/devices/"+string(b.id)+"/firmware/"+j.manifest.Name,
		message.Option{ID: message.URIQuery, Value: []byte("k=" + b.token)}, message.Option{ID: message.Block2, Value: buf[:n]})
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errFetch, err)
	}
	defer conn.ReleaseMessage(res)
	if res.Code() != codes.Content {
		return nil, fmt.Errorf("%w: %s", errFetch, res.Code())
	}
	if tag, err := res.ETag(); err != nil || hex.EncodeToString(tag) != j.manifest.SHA256[:16] {
		return nil, fmt.Errorf("%w: the ETag %x is of another image", errFetch, tag)
	}
	return res.ReadBody()
}

// FirmwareKey asks the server for the key its images are signed by, as a factory
// would that builds boards for this city.
func (s *Server) FirmwareKey(ctx context.Context) (ed25519.PublicKey, error) {
	answer, err := s.do(ctx, http.MethodGet, "/v1/firmware", nil)
	if err != nil {
		return nil, fmt.Errorf("ask for the firmware key: %w", err)
	}
	var list struct {
		Key string `json:"key"`
	}
	if err := json.Unmarshal(answer, &list); err != nil {
		return nil, fmt.Errorf("ask for the firmware key: %w", err)
	}
	block, _ := pem.Decode([]byte(list.Key))
	if block == nil {
		return nil, errors.New("the server's firmware key is not PEM")
	}
	parsed, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("the server's firmware key: %w", err)
	}
	key, ok := parsed.(ed25519.PublicKey)
	if !ok {
		return nil, errors.New("the server's firmware key is not Ed25519")
	}
	return key, nil
}
