package http1

import (
	"context"
	"errors"
	"os"
	"sync"
	"time"
)

// watcher reads ahead on the connection while a backend works, to see the client leave.
// It begins when an action asks for the context and the request body was read.
type watcher struct {
	mu      sync.Mutex
	ctx     context.Context
	cancel  context.CancelFunc
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

// bodyDone is called when the last byte of the request body was read.
func (w *watcher) bodyDone(c *conn) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.ctx != nil && w.reading == nil {
		w.read(c)
	}
}

// read waits for the client to leave, or to send more.
func (w *watcher) read(c *conn) {
	if c.r < c.w {
		return // the next request is here already, so the client is too
	}
	ended := make(chan struct{})
	w.reading = ended
	cancel := w.cancel
	c.rwc.SetReadDeadline(time.Time{})
	go func() {
		defer close(ended)
		if err := c.fill(); err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
			cancel()
		}
	}()
}

// stop ends the reading; what was read is the beginning of the next request.
func (w *watcher) stop(c *conn) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.ctx == nil {
		return
	}
	if w.reading != nil {
		c.rwc.SetReadDeadline(time.Unix(1, 0))
		<-w.reading
	}
	w.cancel()
	w.ctx, w.cancel, w.reading = nil, nil, nil
}
