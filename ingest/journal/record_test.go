package journal

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"

	"vonglau/devices"
)

// goldenAt is 2026-11-21T08:00:00Z, 1,795,248,000,000 ms = 0x01a1fd1e8c00.
var goldenAt = time.Date(2026, 11, 21, 8, 0, 0, 0, time.UTC)

// goldenEntries are the entries of goldenBatch.
var goldenEntries = []Entry{
	{Message: &devices.Message{
		Device: "aq-1", Via: devices.ViaMQTT,
		From:     netip.MustParseAddrPort("[2001:db8::7]:4711"),
		Received: goldenAt.Add(-5 * time.Millisecond),
		Observations: []devices.Observation{{
			Time:       goldenAt.Add(-5 * time.Millisecond),
			DeviceTime: goldenAt.Add(-time.Minute),
			At:         devices.Position{Lon: 106.5, Lat: 20.25},
			Flags:      devices.ClockSuspect | devices.Simulated,
			Zones: []devices.ZoneRef{
				{Layer: "wards", Code: "13693", ValidFrom: "2025-07-01"},
				{Layer: "river", Code: "1"},
			},
			Values: []devices.Value{
				{Quantity: "pm25", Number: 12.5},
				{Quantity: "temperature", Number: -1, Unit: "degF"},
			},
		}, {
			Time:   goldenAt.Add(-4 * time.Millisecond),
			Zones:  []devices.ZoneRef{{Layer: "wards", Code: "13693", ValidFrom: "2025-07-01"}},
			Values: []devices.Value{{Quantity: "pm25", Number: 13}},
		}},
	}},
	{Refusal: &devices.Refusal{
		Reason: devices.ReasonMalformed, Device: "x", Via: devices.ViaCoAP,
		From: netip.MustParseAddrPort("192.0.2.1:5683"),
		At:   goldenAt, Detail: "no", Payload: []byte("{"), Kept: true,
	}},
	{Status: &devices.Status{
		Device: "aq-1", Via: devices.ViaMQTT, At: goldenAt.Add(64 * time.Millisecond),
		State: devices.LinkOffline, Reason: "bye",
	}},
}

// goldenBatch was written by hand after FORMAT.md. Spaces and what follows a
// '#' are for people; CRC stands for the checksum, which alone was computed.
const goldenBatch = `
56474c4a 01 01 0000        # VGLJ, version 1, batch
c5000000 5e1b9269          # 197 bytes, CRC
0700000000000000 03000000  # entries 7 to 9
efbeadde 008c1efda1010000  # the record before, time

01 04 61712d31 01          # message of aq-1 by MQTT
10 20010db8000000000000000000000007 e724 # [2001:db8::7]:4711
01 09 02                   # received 5 ms before, 2 observations
07 09 bfa907               # time 5 ms, device time 60000 ms before
0000000000a05a40 0000000000403440 # 106.5, 20.25
41                         # clock suspect, simulated
02                         # zones
00 00 05 7761726473 00 05 3133363933 00 0a 323032352d30372d3031
00 00 05 7269766572 00 01 31 00 00
02                         # values
00 04 706d3235 0000000000002940 06   # pm25 12.5, unit "" is word 6
00 0b 74656d7065726174757265 000000000000f0bf 00 04 64656746 # temperature -1 degF
01 07                      # time 4 ms before, nothing else
00 01 01                   # no flags, one zone, the first
01 07 0000000000002a40 06  # pm25 is word 7: 13

02 00 09 6d616c666f726d6564 01 78 02 # malformed, x, CoAP
04 c0000201 b32c           # 192.0.2.1:5683
01 00 02 6e6f 01 7b 01     # now, "no", "{", kept

03 04 61712d31 01 00       # status of aq-1 by MQTT, from nowhere known
01 8001 02 03 627965       # 64 ms later, offline, "bye"
`

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	var digits strings.Builder
	for line := range strings.Lines(s) {
		line, _, _ = strings.Cut(line, "#")
		digits.WriteString(strings.Join(strings.Fields(line), ""))
	}
	b, err := hex.DecodeString(digits.String())
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func encodeBatch(at time.Time, first uint64, prev uint32, entries []Entry) []byte {
	enc := newBatchEncoder()
	enc.reset(at)
	for _, e := range entries {
		enc.add(e)
	}
	sealRecord(enc.buf, record{kind: kindBatch, first: first, count: enc.count, prev: prev, at: at})
	return enc.buf
}

func TestGoldenBatch(t *testing.T) {
	want := unhex(t, goldenBatch)
	got := encodeBatch(goldenAt, 7, 0xdeadbeef, goldenEntries)
	if hex.EncodeToString(got) != hex.EncodeToString(want) {
		t.Errorf("encoded\n%x, want\n%x", got, want)
	}
	r, err := openRecord(want)
	if err != nil {
		t.Fatal(err)
	}
	if r.first != 7 || r.last() != 9 || r.prev != 0xdeadbeef || !r.at.Equal(goldenAt) {
		t.Errorf("header %+v", r)
	}
	entries, err := decodeBatch(r)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(entries, goldenEntries) {
		t.Errorf("decoded %+v", entries)
	}
}

func TestGoldenBucketAndActs(t *testing.T) {
	body := unhex(t, "01 03 612d31 02 7b7d  02 03 612d32  01 01 6b 00")
	var buf []byte
	for _, ch := range []change{{"a-1", []byte("{}")}, {"a-2", nil}, {"k", []byte{}}} {
		buf = appendChange(buf, ch)
	}
	if hex.EncodeToString(buf) != hex.EncodeToString(body) {
		t.Errorf("bucket: encoded %x, want %x", buf, body)
	}
	var got []change
	if err := applyOps(body, 3, func(key string, value []byte) { got = append(got, change{key, value}) }); err != nil {
		t.Fatal(err)
	}
	if want := []change{{"a-1", []byte("{}")}, {"a-2", nil}, {"k", []byte{}}}; !reflect.DeepEqual(got, want) {
		t.Errorf("bucket: decoded %q, want %q", got, want)
	}
	acts, err := decodeActs(unhex(t, "05 612e622e63 02 7b7d  00 00"), 2)
	if want := []Act{{"a.b.c", []byte("{}")}, {"", []byte{}}}; err != nil || !reflect.DeepEqual(acts, want) {
		t.Errorf("acts: decoded %q, %v, want %q", acts, err, want)
	}
}

func TestMarkSlots(t *testing.T) {
	dir := t.TempDir()
	m, known, err := openMark(dir, "s")
	if err != nil || known {
		t.Fatalf("fresh mark: known %v, %v", known, err)
	}
	one := markState{ceiling: 100, next: 12, last: 11, crc: 7, boot: [16]byte{1, 2}}
	two := markState{ceiling: 100, next: 13, last: 12, crc: 8, clean: true, boot: [16]byte{1, 2}}
	for _, s := range []markState{one, two} {
		if err := m.write(s, false); err != nil {
			t.Fatal(err)
		}
	}
	read := func() markState {
		t.Helper()
		m, known, err := openMark(dir, "s")
		if err != nil || !known {
			t.Fatalf("mark: known %v, %v", known, err)
		}
		return errClose(t, m)
	}
	if got := read(); got != two {
		t.Errorf("got %+v, want %+v", got, two)
	}
	// A torn write of the newer slot leaves the older one.
	if _, err := m.f.WriteAt([]byte{0xff}, int64(m.turn%2)*markStride+20); err != nil {
		t.Fatal(err)
	}
	if got := read(); got != one {
		t.Errorf("after a torn write got %+v, want %+v", got, one)
	}
	errClose(t, m)
}

func errClose(t *testing.T, m *mark) markState {
	t.Helper()
	if err := m.close(); err != nil {
		t.Error(err)
	}
	return m.state
}

func TestOpenRecordFindsDamage(t *testing.T) {
	good := encodeBatch(goldenAt, 7, 0xdeadbeef, goldenEntries)
	for i := range good {
		for bit := range 8 {
			good[i] ^= 1 << bit
			if _, err := openRecord(good); !errors.Is(err, errDamaged) {
				t.Fatalf("bit %d of byte %d flipped: %v", bit, i, err)
			}
			good[i] ^= 1 << bit
		}
	}
	for n := range good {
		if _, err := openRecord(good[:n]); !errors.Is(err, errDamaged) {
			t.Fatalf("cut to %d bytes: %v", n, err)
		}
	}
	// A newer version is not damage, and must not be repaired away.
	newer := append([]byte(nil), good...)
	newer[4] = 2
	binary.LittleEndian.PutUint32(newer[12:], recordCRC(newer))
	if _, err := openRecord(newer); err == nil || errors.Is(err, errDamaged) {
		t.Errorf("version 2: %v", err)
	}
}

// FuzzDecodeBatch feeds bodies behind a header that checks, which is what a
// program with a defect would have written.
func FuzzDecodeBatch(f *testing.F) {
	golden := unhex(f, goldenBatch)[recordHeader:]
	f.Add(golden, uint32(3))
	f.Add([]byte{}, uint32(1))
	f.Add([]byte{1, 1, 'a', 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0x0f}, uint32(1))
	f.Add([]byte{1, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1}, uint32(1))
	f.Add([]byte{3, 1, 'a', 1, 16, 1, 2}, uint32(0xffffffff))
	f.Fuzz(func(t *testing.T, body []byte, count uint32) {
		buf := append(beginRecord(nil), body...)
		sealRecord(buf, record{kind: kindBatch, first: 1, count: max(count, 1), at: goldenAt})
		r, err := openRecord(buf)
		if err != nil {
			t.Fatal(err)
		}
		entries, err := decodeBatch(r)
		if err != nil {
			if entries != nil {
				t.Fatal("entries and an error")
			}
			return
		}
		// What can be read can be written and reads the same again.
		r2, err := openRecord(encodeBatch(goldenAt, 1, 0, entries))
		if err != nil {
			t.Fatal(err)
		}
		again, err := decodeBatch(r2)
		if err != nil {
			t.Fatal(err)
		}
		if !equalEntries(entries, again) {
			t.Fatalf("%+v\nread again as\n%+v", entries, again)
		}
	})
}

// equalEntries compares by bytes, for which NaN equals itself.
func equalEntries(a, b []Entry) bool {
	return hex.EncodeToString(encodeBatch(goldenAt, 1, 0, a)) == hex.EncodeToString(encodeBatch(goldenAt, 1, 0, b))
}

func FuzzOpenRecord(f *testing.F) {
	f.Add(unhex(f, goldenBatch))
	f.Add([]byte(recordMagic))
	f.Fuzz(func(t *testing.T, buf []byte) {
		r, err := openRecord(buf)
		if err == nil && (r.count == 0 || r.last() < r.first) {
			t.Fatalf("accepted %+v", r)
		}
	})
}

func FuzzBucketAndActs(f *testing.F) {
	f.Add([]byte{1, 1, 'k', 1, 'v', 2, 1, 'k'}, uint32(2))
	f.Add([]byte{0, 0}, uint32(1))
	f.Fuzz(func(t *testing.T, body []byte, count uint32) {
		n := uint32(0)
		if err := applyOps(body, count, func(string, []byte) { n++ }); err == nil && n != count {
			t.Fatalf("%d changes of %d", n, count)
		}
		if acts, err := decodeActs(body, count); err == nil && uint32(len(acts)) != count {
			t.Fatalf("%d acts of %d", len(acts), count)
		}
	})
}

// A message that says its size is an entry of a kind of its own; one that does
// not stays as it always was.
func TestEntryKeepsTheSizeOfAMessage(t *testing.T) {
	for _, size := range []int{0, 1, 200, 1 << 20} {
		want := Entry{Message: &devices.Message{Device: "gw-1", Received: goldenAt, Size: size}}
		enc := newBatchEncoder()
		enc.reset(goldenAt)
		enc.add(want)
		kind := byte(entryMessage)
		if size > 0 {
			kind = entrySized
		}
		if got := enc.buf[recordHeader]; got != kind {
			t.Errorf("size %d: entry kind %d, want %d", size, got, kind)
		}
		got, err := decodeBatch(record{kind: kindBatch, at: goldenAt, count: 1, body: enc.buf[recordHeader:]})
		if err != nil || len(got) != 1 || !reflect.DeepEqual(got[0], want) {
			t.Errorf("size %d: got %+v, %v", size, got, err)
		}
	}
}
