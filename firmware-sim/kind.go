package firmwaresim

import (
	"math"
	"time"

	"vonglau/devices"
	"vonglau/firmware-sim/city"
)

// kind is what the devices of one profile have in common in the field.
type kind struct {
	profile string
	prefix  string // of the device's id
	label   string // of its name, in the city's language
	owner   string // the department that answers for it
	share   int    // of 500 devices
	spot    spot   // where one stands
	mains   bool   // dark when its feeder has tripped
	radio   bool   // reaches the city through a gateway
	moving  bool
	battery bool
	every   time.Duration // between two reports, when the scenario does not say
	model   func(p *place) model
}

// model is the inside of one device: what its sensors say of a moment. It may
// remember (counters, heat), advances by the moments it is shown, and is used
// by its device's goroutine alone.
type model interface {
	read(m *Moment) []devices.Value
}

// spot is a way to choose a place.
type spot uint8

const (
	besideStreet spot = iota
	besideMainRoad
	inWard
	onRiver
	inBasin
	onMast // in the middle of a ward
	onRoute
)

// The departments of the simulated city. deploy/run.sh names their heads, and
// deploy/demo/rules.yaml their rules.
const (
	works       = "Sở Xây dựng (mô phỏng)"
	environment = "Sở Nông nghiệp và Môi trường (mô phỏng)"
	defence     = "Ban chỉ huy phòng thủ dân sự (mô phỏng)"
	water       = "Công ty cấp nước (mô phỏng)"
	power       = "Điện lực (mô phỏng)"
	buses       = "Trung tâm vận tải công cộng (mô phỏng)"
	digital     = "Trung tâm chuyển đổi số (mô phỏng)"
)

// kinds is the fleet. The shares make the numbers of a city of 500 devices.
var kinds = []kind{
	{profile: "air-quality", owner: environment, prefix: "air", label: "Trạm không khí", share: 28, spot: inWard, every: 10 * time.Second, model: newAir},
	{profile: "river-level", owner: defence, prefix: "river", label: "Trạm thủy văn", share: 10, spot: onRiver, battery: true, every: 10 * time.Second, model: newGauge},
	{profile: "rain-gauge", owner: defence, prefix: "rain", label: "Trạm đo mưa", share: 26, spot: inWard, battery: true, every: 5 * time.Second, model: newBucket},
	{profile: "flooded-road", owner: works, prefix: "flood", label: "Cảm biến ngập", share: 62, spot: inBasin, radio: true, battery: true, every: 5 * time.Second, model: newDepth},
	{profile: "traffic-counter", owner: works, prefix: "traffic", label: "Đếm xe", share: 66, spot: besideMainRoad, mains: true, every: 5 * time.Second, model: newCounter},
	{profile: "noise", owner: environment, prefix: "noise", label: "Đo ồn", share: 30, spot: besideStreet, every: 5 * time.Second, model: newNoise},
	{profile: "weather", owner: environment, prefix: "weather", label: "Trạm khí tượng", share: 12, spot: inWard, every: 5 * time.Second, model: newWeather},
	{profile: "parking", owner: works, prefix: "parking", label: "Bãi đỗ xe", share: 38, spot: besideStreet, mains: true, radio: true, every: 10 * time.Second, model: newParking},
	{profile: "street-light", owner: works, prefix: "light", label: "Đèn đường", share: 110, spot: besideStreet, mains: true, radio: true, every: 10 * time.Second, model: newLamp},
	{profile: "water-pressure", owner: water, prefix: "water", label: "Áp lực nước", share: 36, spot: besideStreet, radio: true, battery: true, every: 5 * time.Second, model: newPipe},
	{profile: "transformer", owner: power, prefix: "trafo", label: "Máy biến áp", share: 38, spot: besideStreet, every: 5 * time.Second, model: newTransformer},
	{profile: "bus", owner: buses, prefix: "bus", label: "Xe buýt", share: 32, spot: onRoute, moving: true, every: 2 * time.Second, model: newBus},
	{profile: "gateway", owner: digital, prefix: "gw", label: "Trạm thu phát", share: 12, spot: onMast, every: 10 * time.Second, model: newGateway},
}

// lagging follows a target the way heat or a cloud of dust does: by a share of
// the difference, whatever the time between two looks.
type lagging struct {
	value float64
	at    time.Time
}

func (l *lagging) follow(target float64, tau time.Duration, t time.Time) float64 {
	if l.at.IsZero() {
		l.value = target
	} else if dt := t.Sub(l.at); dt > 0 {
		l.value += (target - l.value) * (1 - math.Exp(-dt.Seconds()/tau.Seconds()))
	}
	l.at = t
	return l.value
}

// since gives the time since the last call, zero at the first.
type stopwatch struct{ at time.Time }

func (s *stopwatch) since(t time.Time) time.Duration {
	defer func() { s.at = t }()
	if s.at.IsZero() || t.Before(s.at) {
		return 0
	}
	return t.Sub(s.at)
}

// streetLoad is how busy a street of a class is, as a share of the busiest.
func streetLoad(c city.Class) float64 {
	switch c {
	case city.Highway:
		return 1
	case city.Ring:
		return 0.85
	case city.Avenue:
		return 0.75
	case city.Road:
		return 0.4
	}
	return 0.12
}

// passable is the share of traffic that still gets through standing water: none
// of it matters below 5 cm, nothing passes above 40.
func passable(depth float64) float64 { return clamp((0.40-depth)/0.35, 0, 1) }

// round keeps as many digits as a sensor of the quantity has.
func round(x float64, digits int) float64 {
	p := math.Pow10(digits)
	r := math.Round(x*p) / p
	if r == 0 {
		return 0 // never -0
	}
	return r
}

func value(q devices.Quantity, x float64, digits int) devices.Value {
	return devices.Value{Quantity: q, Number: round(x, digits)}
}
