package http1

import (
	"context"
	"errors"
	"os"
	"sync"
	"time"
)

// watchAfter is for how long an action may wait before its client is watched: most backends
// have answered by then, and watching costs a goroutine and a system call.
const watchAfter = 10 * time.Millisecond

// watcher reads ahead on the connection while a backend works, to see the client leave.
// It begins a moment after an action asked for the context and the request body was read.
type watcher struct {
	mu      sync.Mutex
	ctx     context.Context
	cancel  context.CancelFunc
	timer   *time.Timer
	due     time.Time     // when reading is to begin; zero when it is not, or has begun
	reading chan struct{} // closed when the reader has ended; nil when there is none
}

func (w *watcher) context(c *conn) context.Context {
	w.mu.Lock()
	first := w.ctx == nil
	if first {
		w.ctx, w.cancel = context.WithCancel(context.Background())
	}
	ctx := w.ctx
	w.mu.Unlock()
	// not under the lock: a Read that ends the body takes the two locks in the other order
	if first && (c.body == nil || c.body.complete()) {
		w.bodyDone(c)
	}
	return ctx
}

// active reports whether the client is watched for the running request.
func (w *watcher) active() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.ctx != nil
}

// bodyDone is called when the last byte of the request body was read.
func (w *watcher) bodyDone(c *conn) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.ctx == nil || w.reading != nil || c.r < c.w {
		return // nobody asks, or the next request is here already, so the client is too
	}
	w.due = time.Now().Add(watchAfter)
	if w.timer == nil {
		w.timer = time.AfterFunc(watchAfter, func() { w.read(c) })
	} else {
		w.timer.Reset(watchAfter)
	}
}

// read waits for the client to leave, or to send more. It is what the timer calls, which may
// be late: it was stopped meanwhile, or set for another request.
func (w *watcher) read(c *conn) {
	w.mu.Lock()
	if w.due.IsZero() || time.Now().Before(w.due) {
		w.mu.Unlock()
		return
	}
	w.due = time.Time{}
	ended, cancel := make(chan struct{}), w.cancel
	w.reading = ended
	c.rwc.SetReadDeadline(time.Time{})
	w.mu.Unlock()
	defer close(ended)
	if err := c.fill(); err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
		cancel()
	}
}

// stop ends the reading; what was read is the beginning of the next request.
func (w *watcher) stop(c *conn) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.ctx == nil {
		return
	}
	if !w.due.IsZero() {
		w.due = time.Time{}
		w.timer.Stop()
	}
	if w.reading != nil {
		c.rwc.SetReadDeadline(time.Unix(1, 0))
		<-w.reading
	}
	w.cancel()
	w.ctx, w.cancel, w.reading = nil, nil, nil
}
