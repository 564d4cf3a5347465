package firmwaresim

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"sync"
	"time"
)

// httpLink posts reports over connections that all devices of a process share.
type httpLink struct {
	*wire
	client  *http.Client
	base    string // http://[::1]:8080
	waiting sync.WaitGroup
	gone    chan struct{}
}

func newHTTP(w *wire, c *http.Client, base string) link {
	return &httpLink{wire: w, client: c, base: base, gone: make(chan struct{})}
}

func (l *httpLink) open(context.Context) error {
	l.gone = make(chan struct{})
	return nil
}

func (l *httpLink) send(r *report) {
	r.tries++
	l.waiting.Add(1)
	go l.post(r)
}

// post sends one report and waits for the response.
func (l *httpLink) post(r *report) {
	defer l.waiting.Done()
	ctx, cancel := context.WithTimeout(l.ctx, exchangeTime)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, l.base+"/v1/devices/"+string(l.id)+"/telemetry", bytes.NewReader(r.payload))
	if err != nil {
		l.answer(answer{report: r, verdict: refused, err: err})
		return
	}
	req.Header.Set("Authorization", "Bearer "+l.token)
	req.Header.Set("Content-Type", contentType(l.format))
	res, err := l.client.Do(req)
	if err != nil {
		l.answer(answer{report: r, verdict: lost, err: err})
		return
	}
	_, _ = io.Copy(io.Discard, io.LimitReader(res.Body, 64<<10)) // so that the connection is used again
	_ = res.Body.Close()
	a := answer{report: r}
	switch {
	case r.loseAck:
		r.loseAck = false
		a.verdict, a.err = lost, fmt.Errorf("the response got lost")
	case res.StatusCode/100 == 2:
		a.verdict = accepted
	case res.StatusCode == http.StatusTooManyRequests || res.StatusCode/100 == 5:
		a.verdict, a.wait = later, time.Second
		if s, err := strconv.Atoi(res.Header.Get("Retry-After")); err == nil && s >= 0 {
			a.wait = time.Duration(min(s, 3600)) * time.Second
		}
		a.err = fmt.Errorf("server answered %s", res.Status)
	default:
		a.verdict, a.err = refused, fmt.Errorf("server answered %s", res.Status)
	}
	l.answer(a)
}

func (l *httpLink) down() <-chan struct{} { return l.gone }
func (l *httpLink) close(bool)            { l.waiting.Wait() }
func (l *httpLink) forget()               { l.waiting.Wait() }
func (l *httpLink) window() int           { return l.depth }
