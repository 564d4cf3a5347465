package series

import (
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func openEmbedded(t testing.TB, o EmbeddedOptions) *Embedded {
	t.Helper()
	e, err := OpenEmbedded(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	})
	return e
}

func TestEmbedded(t *testing.T) {
	testSuite(t, subject{
		open: func(t *testing.T, now func() time.Time, rejected func(Rejection)) Store {
			return openEmbedded(t, EmbeddedOptions{Dir: t.TempDir(), Retention: suiteRetention, Now: now, Rejected: rejected,
				Metrics: prometheus.NewRegistry()})
		},
		reopen: func(t *testing.T, s Store) Store {
			e := s.(*Embedded)
			if err := e.Close(); err != nil {
				t.Fatal(err)
			}
			return openEmbedded(t, e.opts)
		},
		revisions: maxRevision,
	})
}
