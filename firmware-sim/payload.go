package firmwaresim

import (
	"encoding/binary"
	"math"
	"strconv"
	"time"

	"github.com/paulmach/orb"

	"vonglau/devices"
)

// reading is what a device measured at one moment, stamped by its own clock.
type reading struct {
	taken  time.Time
	made   time.Time // when by our clock; only a load run asks
	at     orb.Point
	hasAt  bool
	values []devices.Value
}

// firmware is what a vendor decided about the bytes.
type firmware struct {
	id     devices.ID
	format devices.Format
	// noBver: the vendor sends secondary units without announcing them, which
	// RFC 9100 forbids and the field is full of.
	noBver bool
	// rfc3339: times are text instead of milliseconds, in plain JSON.
	rfc3339 bool
}

// senMLUnit is how SenML spells the unit of a quantity (RFC 8428 section 12.1,
// RFC 8798), and whether it is a secondary unit. A quantity that is missing here
// is sent without a unit.
var senMLUnit = map[devices.Quantity]struct {
	name      string
	secondary bool
}{
	"pm25": {"ug/m3", true}, "pm10": {"ug/m3", true}, "no2": {"ug/m3", true}, "so2": {"ug/m3", true},
	"o3": {"ug/m3", true}, "co": {"ug/m3", true},
	"temperature": {"Cel", false}, "humidity": {"%RH", false}, "pressure": {"hPa", true},
	"wind_speed": {"m/s", false}, "wind_direction": {"deg", false},
	"water_level": {"m", false}, "discharge": {"m3/s", false}, "water_depth": {"m", false},
	"rain_total": {"mm", true}, "rain_rate": {"mm/h", true},
	"vehicle_count": {"count", false}, "vehicle_speed": {"km/h", true}, "occupancy": {"/100", true},
	"noise": {"dB", false}, "illuminance": {"lx", false}, "power": {"W", false}, "voltage": {"V", false},
	"current": {"A", false}, "oil_temperature": {"Cel", false}, "speed": {"km/h", true}, "heading": {"deg", false},
	"battery": {"%EL", false}, "rssi": {"dBm", true}, "uplink_rtt": {"ms", true}, "clients": {"count", false},
	"load": {"/100", true}, "lamp": {"/", false}, "water_pressure": {"Pa", false}, "flow": {"m3/s", false},
}

// encode writes readings as one payload. A single one is a plain object, more
// are an array; SenML is a pack either way.
func (f *firmware) encode(dst []byte, rs []reading) []byte {
	switch f.format {
	case devices.FormatCBOR:
		return f.cbor(dst, rs)
	case devices.FormatSenMLJSON:
		return f.senMLJSON(dst, rs)
	case devices.FormatSenMLCBOR:
		return f.senMLCBOR(dst, rs)
	}
	return f.json(dst, rs)
}

func (f *firmware) json(dst []byte, rs []reading) []byte {
	if len(rs) != 1 {
		dst = append(dst, '[')
	}
	for i, r := range rs {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(dst, `{"ts":`...)
		if f.rfc3339 {
			dst = append(dst, '"')
			dst = r.taken.UTC().AppendFormat(dst, "2006-01-02T15:04:05.000Z07:00")
			dst = append(dst, '"')
		} else {
			dst = strconv.AppendInt(dst, r.taken.UnixMilli(), 10)
		}
		for _, v := range r.values {
			dst = append(dst, ',', '"')
			dst = append(dst, v.Quantity...)
			dst = append(dst, '"', ':')
			dst = appendNumber(dst, v.Number)
		}
		if r.hasAt {
			dst = append(dst, `,"lat":`...)
			dst = strconv.AppendFloat(dst, r.at.Lat(), 'f', 6, 64)
			dst = append(dst, `,"lon":`...)
			dst = strconv.AppendFloat(dst, r.at.Lon(), 'f', 6, 64)
		}
		dst = append(dst, '}')
	}
	if len(rs) != 1 {
		dst = append(dst, ']')
	}
	return dst
}

// appendNumber writes a number as JSON has them: no NaN, no exponent a small
// parser would not know.
func appendNumber(dst []byte, x float64) []byte {
	return strconv.AppendFloat(dst, x, 'f', -1, 64)
}

// secondary reports whether any value needs a unit that RFC 9100 wants
// announced.
func (f *firmware) secondary(rs []reading) bool {
	for _, r := range rs {
		for _, v := range r.values {
			if senMLUnit[v.Quantity].secondary {
				return true
			}
		}
	}
	return false
}

// bverSecondary is the version bitmap with the secondary-units feature: 10 for
// the base and bit 4 (RFC 9100 sections 2 and 3, RFC 8798).
const bverSecondary = 26

func (f *firmware) senMLJSON(dst []byte, rs []reading) []byte {
	dst = append(dst, '[')
	first := true
	for _, r := range rs {
		if len(r.values) == 0 {
			continue
		}
		for i, v := range r.values {
			if !first {
				dst = append(dst, ',')
			}
			dst = append(dst, '{')
			if first {
				dst = append(dst, `"bn":"vl:`...)
				dst = append(dst, f.id...)
				dst = append(dst, `:",`...)
				if !f.noBver && f.secondary(rs) {
					dst = append(dst, `"bver":26,`...)
				}
				first = false
			}
			if i == 0 {
				dst = append(dst, `"bt":`...)
				dst = appendSeconds(dst, r.taken)
				dst = append(dst, ',')
			}
			dst = append(dst, `"n":"`...)
			dst = append(dst, v.Quantity...)
			dst = append(dst, '"')
			if u := senMLUnit[v.Quantity].name; u != "" {
				dst = append(dst, `,"u":"`...)
				dst = append(dst, u...)
				dst = append(dst, '"')
			}
			dst = append(dst, `,"v":`...)
			dst = appendNumber(dst, v.Number)
			dst = append(dst, '}')
		}
		if r.hasAt {
			dst = append(dst, `,{"n":"lat","u":"lat","v":`...)
			dst = strconv.AppendFloat(dst, r.at.Lat(), 'f', 6, 64)
			dst = append(dst, `},{"n":"lon","u":"lon","v":`...)
			dst = strconv.AppendFloat(dst, r.at.Lon(), 'f', 6, 64)
			dst = append(dst, '}')
		}
	}
	return append(dst, ']')
}

// appendSeconds writes a time as decimal seconds without going through a
// floating point number.
func appendSeconds(dst []byte, t time.Time) []byte {
	ms := t.UnixMilli()
	if ms < 0 {
		dst, ms = append(dst, '-'), -ms
	}
	dst = strconv.AppendInt(dst, ms/1000, 10)
	if f := ms % 1000; f != 0 {
		dst = append(dst, '.', byte('0'+f/100), byte('0'+f/10%10), byte('0'+f%10))
	}
	return dst
}

func (f *firmware) cbor(dst []byte, rs []reading) []byte {
	if len(rs) != 1 {
		dst = cborHead(dst, 4, uint64(len(rs)))
	}
	for _, r := range rs {
		n := 1 + len(r.values)
		if r.hasAt {
			n += 2
		}
		dst = cborHead(dst, 5, uint64(n))
		dst = cborText(dst, "ts")
		dst = cborInt(dst, r.taken.UnixMilli())
		for _, v := range r.values {
			dst = cborText(dst, string(v.Quantity))
			dst = cborNumber(dst, v.Number)
		}
		if r.hasAt {
			dst = cborFloat(cborText(dst, "lat"), round(r.at.Lat(), 6))
			dst = cborFloat(cborText(dst, "lon"), round(r.at.Lon(), 6))
		}
	}
	return dst
}

// The labels of SenML CBOR (RFC 8428 section 6).
const (
	labelBver = -1
	labelBn   = -2
	labelBt   = -3
	labelN    = 0
	labelU    = 1
	labelV    = 2
)

func (f *firmware) senMLCBOR(dst []byte, rs []reading) []byte {
	records := 0
	for _, r := range rs {
		records += len(r.values)
		if r.hasAt && len(r.values) > 0 {
			records += 2
		}
	}
	dst = cborHead(dst, 4, uint64(records))
	first := true
	for _, r := range rs {
		for i, v := range r.values {
			u := senMLUnit[v.Quantity].name
			bver := first && !f.noBver && f.secondary(rs)
			n := uint64(2)
			for _, more := range []bool{first, bver, i == 0, u != ""} {
				if more {
					n++
				}
			}
			dst = cborHead(dst, 5, n)
			if first {
				dst = cborText(cborInt(dst, labelBn), "vl:"+string(f.id)+":")
			}
			if bver {
				dst = cborInt(cborInt(dst, labelBver), bverSecondary)
			}
			if i == 0 {
				dst = cborNumber(cborInt(dst, labelBt), float64(r.taken.UnixMilli())/1000)
			}
			first = false
			dst = cborText(cborInt(dst, labelN), string(v.Quantity))
			if u != "" {
				dst = cborText(cborInt(dst, labelU), u)
			}
			dst = cborNumber(cborInt(dst, labelV), v.Number)
		}
		if r.hasAt && len(r.values) > 0 {
			for _, c := range []struct {
				name string
				x    float64
			}{{"lat", r.at.Lat()}, {"lon", r.at.Lon()}} {
				dst = cborHead(dst, 5, 3)
				dst = cborText(cborInt(dst, labelN), c.name)
				dst = cborText(cborInt(dst, labelU), c.name)
				dst = cborFloat(cborInt(dst, labelV), round(c.x, 6))
			}
		}
	}
	return dst
}

// cborHead writes a major type and its argument in the shortest form (RFC 8949
// section 4.2.1).
func cborHead(dst []byte, major byte, n uint64) []byte {
	m := major << 5
	switch {
	case n < 24:
		return append(dst, m|byte(n))
	case n <= math.MaxUint8:
		return append(dst, m|24, byte(n))
	case n <= math.MaxUint16:
		return binary.BigEndian.AppendUint16(append(dst, m|25), uint16(n))
	case n <= math.MaxUint32:
		return binary.BigEndian.AppendUint32(append(dst, m|26), uint32(n))
	}
	return binary.BigEndian.AppendUint64(append(dst, m|27), n)
}

func cborText(dst []byte, s string) []byte {
	return append(cborHead(dst, 3, uint64(len(s))), s...)
}

func cborInt(dst []byte, x int64) []byte {
	if x < 0 {
		return cborHead(dst, 1, uint64(-1-x))
	}
	return cborHead(dst, 0, uint64(x))
}

// cborNumber writes a whole number as one, everything else as a float.
func cborNumber(dst []byte, x float64) []byte {
	if x == math.Trunc(x) && math.Abs(x) < 1<<53 {
		return cborInt(dst, int64(x))
	}
	return cborFloat(dst, x)
}

// cborFloat writes single precision where that loses nothing.
func cborFloat(dst []byte, x float64) []byte {
	if s := float32(x); float64(s) == x {
		return binary.BigEndian.AppendUint32(append(dst, 0xfa), math.Float32bits(s))
	}
	return binary.BigEndian.AppendUint64(append(dst, 0xfb), math.Float64bits(x))
}
