package devices

// unit places a spelling in its dimension: the base unit of the dimension is
// value*num/den + offset.
type unit struct {
	dimension string
	num, den  float64
	offset    float64
	// secondary units need an announcement in SenML (RFC 9100).
	secondary bool
	// same is the registered spelling this one is accepted for.
	same string
}

// units are the SenML units (RFC 8428 section 12.1), the secondary ones (RFC
// 8798 and the registry it opened) of quantities a city measures, and spellings
// outside the registry that devices send all the same.
var units = map[string]unit{
	// lengths, speeds, volumes
	"m":    {dimension: "length", num: 1, den: 1},
	"mm":   {dimension: "length", num: 1, den: 1e3, secondary: true},
	"cm":   {dimension: "length", num: 1, den: 1e2, secondary: true},
	"km":   {dimension: "length", num: 1e3, den: 1, secondary: true},
	"m/s":  {dimension: "speed", num: 1, den: 1},
	"km/h": {dimension: "speed", num: 1, den: 3.6, secondary: true},
	"m/h":  {dimension: "speed", num: 1, den: 3600, secondary: true},
	"mm/h": {dimension: "speed", num: 1, den: 3.6e6, secondary: true},
	"m3":   {dimension: "volume", num: 1, den: 1},
	"l":    {dimension: "volume", num: 1, den: 1e3},
	"m3/s": {dimension: "flow", num: 1, den: 1},
	"l/s":  {dimension: "flow", num: 1, den: 1e3},
	"m3/h": {dimension: "flow", num: 1, den: 3600},
	// air and weather
	"Cel":   {dimension: "temperature", num: 1, den: 1},
	"K":     {dimension: "temperature", num: 1, den: 1, offset: -273.15},
	"Pa":    {dimension: "pressure", num: 1, den: 1},
	"hPa":   {dimension: "pressure", num: 100, den: 1, secondary: true},
	"kPa":   {dimension: "pressure", num: 1e3, den: 1},
	"bar":   {dimension: "pressure", num: 1e5, den: 1},
	"mbar":  {dimension: "pressure", num: 100, den: 1},
	"kg/m3": {dimension: "density", num: 1, den: 1},
	"ug/m3": {dimension: "density", num: 1, den: 1e9, secondary: true},
	"mg/m3": {dimension: "density", num: 1, den: 1e6},
	"mg/l":  {dimension: "density", num: 1, den: 1e3, secondary: true},
	"ug/l":  {dimension: "density", num: 1, den: 1e6, secondary: true},
	"W/m2":  {dimension: "irradiance", num: 1, den: 1},
	"lx":    {dimension: "illuminance", num: 1, den: 1},
	"dB":    {dimension: "level", num: 1, den: 1},
	"deg":   {dimension: "angle", num: 1, den: 1},
	"rad":   {dimension: "angle", num: 57.29577951308232, den: 1},
	"pH":    {dimension: "acidity", num: 1, den: 1},
	"S/m":   {dimension: "conductivity", num: 1, den: 1},
	"NTU":   {dimension: "turbidity", num: 1, den: 1},
	"lat":   {dimension: "latitude", num: 1, den: 1},
	"lon":   {dimension: "longitude", num: 1, den: 1},
	// parts of a whole
	"/":     {dimension: "ratio", num: 1, den: 1},
	"/100":  {dimension: "ratio", num: 1, den: 100, secondary: true},
	"%":     {dimension: "ratio", num: 1, den: 100},
	"%RH":   {dimension: "ratio", num: 1, den: 100},
	"%EL":   {dimension: "ratio", num: 1, den: 100},
	"ppm":   {dimension: "ratio", num: 1, den: 1e6, secondary: true},
	"ppb":   {dimension: "ratio", num: 1, den: 1e9, secondary: true},
	"count": {dimension: "count", num: 1, den: 1},
	// time, data, radio
	"s":     {dimension: "time", num: 1, den: 1},
	"ms":    {dimension: "time", num: 1, den: 1e3, secondary: true},
	"min":   {dimension: "time", num: 60, den: 1, secondary: true},
	"h":     {dimension: "time", num: 3600, den: 1, secondary: true},
	"Hz":    {dimension: "frequency", num: 1, den: 1},
	"1/min": {dimension: "frequency", num: 1, den: 60},
	"B":     {dimension: "data", num: 1, den: 1},
	"bit/s": {dimension: "bandwidth", num: 1, den: 1},
	"dBW":   {dimension: "radio power", num: 1, den: 1},
	"dBm":   {dimension: "radio power", num: 1, den: 1, offset: -30, secondary: true},
	// electricity
	"V":   {dimension: "voltage", num: 1, den: 1},
	"mV":  {dimension: "voltage", num: 1, den: 1e3, secondary: true},
	"kV":  {dimension: "voltage", num: 1e3, den: 1},
	"A":   {dimension: "current", num: 1, den: 1},
	"mA":  {dimension: "current", num: 1, den: 1e3, secondary: true},
	"W":   {dimension: "power", num: 1, den: 1},
	"kW":  {dimension: "power", num: 1e3, den: 1, secondary: true},
	"J":   {dimension: "energy", num: 1, den: 1},
	"kWh": {dimension: "energy", num: 3.6e6, den: 1, secondary: true},
	// spellings outside the registry
	"°C":    {same: "Cel"},
	"degC":  {same: "Cel"},
	"µg/m³": {same: "ug/m3"}, // with the micro sign
	"μg/m³": {same: "ug/m3"}, // with the Greek letter
	"µg/m3": {same: "ug/m3"},
	"ug/m³": {same: "ug/m3"},
	"m³":    {same: "m3"},
	"m³/s":  {same: "m3/s"},
	"dBA":   {same: "dB"},
	"dB(A)": {same: "dB"},
	"°":     {same: "deg"},
	"lux":   {same: "lx"},
	"L/s":   {same: "l/s"},
}

func lookupUnit(name string) (unit, bool) {
	u, ok := units[name]
	if ok && u.same != "" {
		u = units[u.same]
	}
	return u, ok
}

func secondaryUnit(name string) bool { return units[name].secondary }

// Convert takes value from one unit to another of the same dimension.
func Convert(value float64, from, to string) (float64, bool) {
	if from == to {
		return value, true
	}
	f, okFrom := lookupUnit(from)
	t, okTo := lookupUnit(to)
	if !okFrom || !okTo || f.dimension != t.dimension {
		return 0, false
	}
	if f == t {
		return value, true
	}
	// Factors are kept as fractions so that 1013.25 hPa is 101325 Pa and not a
	// neighbour of it.
	base := value
	if f.offset != t.offset {
		base += (f.offset - t.offset) * f.den / f.num
	}
	return base * (f.num * t.den) / (f.den * t.num), true
}
