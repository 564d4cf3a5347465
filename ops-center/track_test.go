package opscenter

import "testing"

func TestTrack(t *testing.T) {
	c := start(t, nil)
	c.add(`{"id":"a-1","profile":"air-quality","at":[106.168,20.434]}`)
	var got struct {
		Points []struct{ At [2]float64 }
		Next   string
	}
	c.get("/v1/devices/a-1/track?from=-6h&limit=1", &got)
	if len(got.Points) != 1 || got.Points[0].At != [2]float64{106.168, 20.434} || got.Next == "" {
		t.Errorf("got %+v, want one point and where to go on", got)
	}
}
