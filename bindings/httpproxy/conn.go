package httpproxy

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"luaserve/bindings/upstream"
)

// conn is a connection to the upstream. It serves one request at a time.
type conn struct {
	upstream.Conn
	br     *bufio.Reader // reads through Read; nil while the connection is idle
	pool   *upstream.Pool[*conn]
	config *Config

	ctx      context.Context // of the request
	unwatch  func() bool     // ends watching it; false when it has ended already
	answered bool            // a byte of an answer to this request was read
	readErr  error           // why no more can be read
	whole    bool            // the request was sent to its end
	headLeft int             // bytes that a response head may still have, -1 behind it

	uploading atomic.Bool  // the time to read does not count yet
	progress  atomic.Int32 // what the answer means for the rest of the upload
}

// How an answer that came early counts for an upload.
const (
	noAnswer int32 = iota
	accepted       // go on, but do not wait long
	refused        // the upstream does not want the rest, or is gone
)

func newConn(nc net.Conn, c *Client) *conn {
	return &conn{Conn: upstream.NewConn(nc), pool: c.pool, config: &c.config}
}

// readBuffers are taken for the time of a request. A response that fits into one is read at
// once.
var readBuffers = sync.Pool{New: func() any { return bufio.NewReaderSize(nil, 16<<10) }}

// begin prepares the connection for a request.
func (cn *conn) begin(ctx context.Context) {
	cn.br = readBuffers.Get().(*bufio.Reader)
	cn.br.Reset(cn)
	cn.ctx, cn.answered, cn.readErr, cn.whole = ctx, false, nil, false
	cn.progress.Store(noAnswer)
	cn.unwatch = context.AfterFunc(ctx, func() { cn.Net.Close() })
}

// release gives the read buffer back. It reports whether there was nothing left in it.
func (cn *conn) release() bool {
	clean := cn.br.Buffered() == 0
	cn.br.Reset(nil)
	readBuffers.Put(cn.br)
	cn.br = nil
	return clean
}

// drop closes the connection after a fault.
func (cn *conn) drop() {
	cn.unwatch()
	cn.Net.Close()
	cn.release()
}

// finish is called when the response was read to its end: the connection goes back to the
// pool if nothing speaks against it.
func (cn *conn) finish(keep bool) {
	clean := cn.release()
	if cn.unwatch() && keep && cn.whole && clean {
		cn.ctx, cn.unwatch = nil, nil
		cn.pool.Put(cn)
		return
	}
	cn.Net.Close()
}

// wasStale reports whether err says that the upstream had closed a kept connection.
func (cn *conn) wasStale(err error) bool {
	e, ok := errors.AsType[*Error](err)
	return ok && cn.Reused && !cn.answered && e.Kind == upstream.BadResponse
}

// Read implements io.Reader for br, within the read timeout. In a response head it also
// keeps count.
func (cn *conn) Read(p []byte) (int, error) {
	if cn.headLeft == 0 {
		return 0, io.ErrShortBuffer
	}
	if cn.headLeft > 0 && len(p) > cn.headLeft {
		p = p[:cn.headLeft]
	}
	if t := cn.config.ReadTimeout; t > 0 && !cn.uploading.Load() {
		cn.Net.SetReadDeadline(time.Now().Add(t))
	}
	n, err := cn.Net.Read(p)
	if n > 0 {
		cn.answered = true
	}
	if cn.headLeft > 0 {
		cn.headLeft -= n
	}
	cn.readErr = err
	return n, err
}

// why returns the reason of an error of the parser: when the connection gave no more, that is
// it, whatever the parser makes of a line that broke off.
func (cn *conn) why(err error) error {
	if cn.readErr != nil {
		return cn.readErr
	}
	return err
}

var errRefused = errors.New("the upstream does not want the rest of the request")

// Write writes to the upstream within the send timeout.
func (cn *conn) Write(p []byte) (int, error) {
	if t := cn.config.SendTimeout; t > 0 {
		cn.Net.SetWriteDeadline(time.Now().Add(t))
	}
	// behind setting the deadline, so that it cannot undo the one that answerCame sets
	switch cn.progress.Load() {
	case refused:
		return 0, errRefused
	case accepted:
		cn.Net.SetWriteDeadline(time.Now().Add(cn.config.RefusedTimeout))
	}
	return cn.Net.Write(p)
}

// The requests that http.ReadResponse asks for the method, which decides about a body.
var toHead, toOther = &http.Request{Method: http.MethodHead}, &http.Request{Method: http.MethodGet}

// readHead reads up to the end of the final response head; interim ones are skipped.
func (cn *conn) readHead(r *Request) (*http.Response, error) {
	req := toOther
	if r.Method == http.MethodHead {
		req = toHead
	}
	cn.headLeft = cn.config.MaxHeadBytes
	for {
		resp, err := http.ReadResponse(cn.br, req)
		switch {
		case err != nil && cn.headLeft == 0:
			return nil, fmt.Errorf("the response head is larger than %d bytes", cn.config.MaxHeadBytes)
		case err != nil:
			return nil, cn.why(err)
		case resp.ProtoMajor != 1:
			return nil, fmt.Errorf("the answer is %s", resp.Proto)
		case r.switched(resp):
			cn.headLeft = -1
			return resp, checkNames(resp.Header)
		case resp.StatusCode < 100 || resp.StatusCode == http.StatusSwitchingProtocols:
			return nil, fmt.Errorf("the answer has the status %q", resp.Status)
		case resp.StatusCode >= 200:
			cn.headLeft = -1
			return resp, checkNames(resp.Header)
		}
	}
}

// exchange sends a request that is complete in w and reads the head of the response.
func (cn *conn) exchange(r *Request, w *wire) (*http.Response, error) {
	_, sendErr := cn.Write(w.bytes)
	if sendErr != nil && upstream.IsTimeout(sendErr) {
		return nil, cn.fault("send", sendErr)
	}
	cn.whole = sendErr == nil
	// also after an error: the upstream may have answered before it closed the connection
	resp, err := cn.readHead(r)
	if err != nil {
		return nil, cn.fault("head", err)
	}
	return resp, nil
}
