package alert

import (
	"os"
	"strings"
	"testing"
	"time"

	"vonglau/devices"
)

// TestScales: the five levels of disaster risk are in the register that ships, in
// colours that are none of VN_AQI's, and a scale that is not whole is refused.
func TestScales(t *testing.T) {
	source, err := os.ReadFile("../../deploy/thresholds.yaml")
	if err != nil {
		t.Fatal(err)
	}
	c := devices.DefaultCatalogue()
	register, err := ParseThresholds(source, c)
	if err != nil {
		t.Fatal(err)
	}
	if len(register.Scales) != 1 || register.Scales[0].ID != "disaster-risk" || len(register.Scales[0].Levels) != 5 || register.Scales[0].ValidFrom != "2021-07-01" {
		t.Fatalf("%+v", register.Scales)
	}
	const aqi = "#00e400 #ffff00 #ff7e00 #ff0000 #8f3f97 #7e0023"
	for _, l := range register.Scales[0].Levels {
		if strings.Contains(aqi, strings.ToLower(l.Colour)) {
			t.Errorf("level %s has a colour of VN_AQI", l.Level)
		}
	}
	yearly := map[devices.Quantity]float64{}
	for _, l := range register.For(nil, nil, "", time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC), time.UTC) {
		if l.Set == "qcvn-air" && l.Average == "1y" {
			yearly[l.Quantity] = *l.Value
		}
	}
	for q, want := range map[devices.Quantity]float64{"tsp": 100, "so2": 50, "no2": 40, "pm10": 50, "pm25": 25} {
		if yearly[q] != want {
			t.Errorf("the yearly limit of %s is %g, want %g", q, yearly[q], want)
		}
	}
	text := string(source)
	for _, bad := range []struct{ old, now, want string }{
		{`colour: "#FF8C00"`, `colour: "orange"`, "#RRGGBB"},
		{`colour: "#FF8C00"`, `colour: "#e30613"`, "given once"},
		{`level: "5", name: {vi: "Thảm họa (tím)", en: "Disaster (purple)"}`, `level: "5", name: {vi: "Thảm họa"}`, "name.en"},
		{`valid_from: "2021-07-01"`, `valid_from: "1/7/2021"`, "valid_from"},
		{`id: disaster-risk`, `id: ""`, "it has id"},
	} {
		broken := strings.Replace(text, bad.old, bad.now, 1)
		if _, err := ParseThresholds([]byte(broken), c); broken == text || err == nil || !strings.Contains(err.Error(), bad.want) {
			t.Errorf("with %s: %v", bad.now, err)
		}
	}
}
