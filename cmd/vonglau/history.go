package main

import (
	"context"
	"time"

	"vonglau/devices"
	"vonglau/ingest/series"
)

// history is the series store as the API asks it.
type history struct{ store series.Store }

func (h history) Range(ctx context.Context, device devices.ID, q devices.Quantity, from, to time.Time, limit int) ([]devices.Point, error) {
	return h.store.Range(ctx, series.Query{Device: device, Quantity: q, From: from, To: to, Limit: limit})
}

func (h history) Buckets(ctx context.Context, device devices.ID, q devices.Quantity, from, to time.Time, step, offset time.Duration) ([]devices.Bucket, error) {
	return h.store.Buckets(ctx, series.BucketQuery{
		Device: device, Quantity: q, From: from, To: to, Steps: series.Steps{Step: step, Offset: offset},
	})
}

func (h history) ByZone(ctx context.Context, layer string, q devices.Quantity, from, to time.Time, step, offset time.Duration) ([]devices.ZoneSeries, error) {
	return h.store.ByZone(ctx, series.ZoneQuery{
		Layer: layer, Quantity: q, From: from, To: to, Steps: series.Steps{Step: step, Offset: offset},
	})
}

func (h history) Track(ctx context.Context, device devices.ID, from, to time.Time, limit int) ([]devices.TrackPoint, error) {
	return h.store.Track(ctx, series.TrackQuery{Device: device, From: from, To: to, Limit: limit})
}
