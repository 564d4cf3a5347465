package journal

import "context"

func (j *Journal) repair(ctx context.Context, suspect bool) error { return nil }
