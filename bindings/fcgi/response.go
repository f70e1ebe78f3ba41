package fcgi

import (
	"context"
	"fmt"
	"io"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"luaserve/bindings/upstream"
)

// Response is the answer of an application.
type Response struct {
	// Status is that of the Status field (RFC 3875 section 6.3.3), from 200 to 999.
	// Without one it is 302 when there is a Location, else 200.
	Status int
	// Header has the fields in the application's order and spelling, duplicates
	// included, without Status and without what belongs to one connection only (Connection,
	// Keep-Alive, Proxy-Connection, Transfer-Encoding). Content-Type may be missing.
	Header []Field
	// Length is the Content-Length in bytes, -1 when the application did not tell. For the
	// answer to HEAD and for 304 it is that of the body which is not there.
	Length int64
	// Data is the whole body when it came together with the head, else nil. Body gives it too,
	// if it is still wanted from there.
	Data []byte
	// Body is never nil. Read returns io.EOF only after the application ended the
	// request; what is missing then or earlier is an [Error]. A body shorter than
	// Content-Length is an error that matches io.ErrUnexpectedEOF, a longer one is cut
	// there. The body of an answer to HEAD, of 204 and 304 is empty, whatever the
	// application sends.
	//
	// Read returns as soon as there is something. Close ends the request if it has not
	// ended, by closing the connection; it may be called at any time and ends a Read in
	// another goroutine. Apart from that one goroutine at a time may use Body.
	Body io.ReadCloser

	statusGiven bool
}

// LocalRedirect returns the path and query of a local redirect (RFC 3875 section 6.2.2):
// a Location that begins with a slash, and no Status. The server should then answer as if
// that path had been asked for. Any other Location is meant for the client.
func (r *Response) LocalRedirect() (target string, ok bool) {
	if r.statusGiven || r.Status != 302 {
		return "", false
	}
	for _, f := range r.Header {
		if upstream.IsName(f.Name, "location") && f.Value != "" {
			local := f.Value[0] == '/' && !strings.HasPrefix(f.Value, "//")
			return f.Value, local
		}
	}
	return "", false
}

// drainLimit is how much body, in bytes, is read past when none is allowed, before the
// connection is dropped.
const drainLimit = 64 << 10

// answer reads what comes back for one request. It is the Body of its Response.
type answer struct {
	response Response
	fields   [6]Field // the first memory of response.Header
	config   *Config
	ctx      context.Context
	stop     func() bool // ends watching ctx; nil as long as that is not watched
	loop     upstream.Loop

	// conn is the connection while it belongs to this request. Who swaps it for nil
	// decides what becomes of it; so it can be closed from outside at any time and never
	// after it went back to the pool.
	conn     atomic.Pointer[conn]
	cause    atomic.Pointer[Error] // why it was closed from outside
	headDone atomic.Bool

	mu      sync.Mutex // held while reading
	data    []byte     // what Read returns first
	err     error      // what Read returns from now on
	lines   LineSplitter
	isHead  bool  // the request was HEAD
	noBody  bool  // the response has no body
	left    int64 // what is missing to Content-Length, -1 when there is none
	drained int
	drainBy time.Time
}

// abort gives the request up, from any goroutine. The first reason counts.
func (a *answer) abort(e *Error) {
	a.cause.CompareAndSwap(nil, e)
	if c := a.conn.Swap(nil); c != nil {
		c.close()
	}
}

// over reports whether the connection is not this request's any more.
func (a *answer) over() bool { return a.conn.Load() == nil }

// watch gives the request up when its context ends, from the first call on.
func (a *answer) watch() {
	if a.stop == nil && a.ctx.Done() != nil {
		a.stop = context.AfterFunc(a.ctx, func() { a.abort(canceled(a.ctx, a.config.Address, true)) })
	}
}

// unwatch ends that.
func (a *answer) unwatch() {
	if a.stop != nil {
		a.stop()
	}
}

// fail closes the connection after a fault, and returns the error to report.
func (a *answer) fail(c *conn, op string, err error) *Error {
	if own := a.conn.Swap(nil); own != nil {
		own.close()
	}
	a.lines.Flush()
	c.release()
	if e := a.cause.Load(); e != nil {
		return e
	}
	return classify(op, a.config.Address, err)
}

// finish is called when END_REQUEST was read. The connection goes back to the pool if
// nothing speaks against it.
func (a *answer) finish(c *conn) {
	a.unwatch()
	a.lines.Flush()
	keep := c.reusable() && c.pool != nil && a.left <= 0
	c.release()
	a.err = io.EOF
	switch own := a.conn.Swap(nil); {
	case own == nil:
		a.err = a.cause.Load()
		return
	case keep:
		c.pool.Put(c)
	default:
		c.close()
	}
	if a.left > 0 {
		e := classify("body", a.config.Address, io.ErrUnexpectedEOF)
		e.Err = short{a.left}
		a.err = e
	}
}

// short is a body that ended before its promised length.
type short struct{ missing int64 }

func (s short) Error() string {
	return fmt.Sprintf("the body is %d bytes shorter than its Content-Length", s.missing)
}

func (s short) Unwrap() error { return io.ErrUnexpectedEOF }

// readHead reads up to the end of the response head.
func (a *answer) readHead(c *conn) (head, error) {
	var text []byte // the head so far, if it does not come in one piece
	line, limit := 0, a.config.MaxHeadBytes
	for {
		ended, err := a.step(c)
		if err != nil {
			return head{}, err
		}
		if ended {
			return head{}, badf("the application ended the request without a response head")
		}
		for c.records.left > 0 {
			piece, err := c.records.content()
			if err != nil {
				return head{}, err
			}
			before := len(text)
			whole := piece
			if before > 0 {
				text = append(text, piece...)
				whole = text
			}
			end, next := upstream.HeadEnd(whole, line)
			if end > limit || end < 0 && len(whole) >= limit {
				return head{}, badf("the response head is larger than %d bytes", limit)
			}
			if end >= 0 {
				c.records.consume(end - before)
				return parseHead(string(whole[:end]), a.fields[:0])
			}
			if before == 0 {
				text = append(text, piece...)
			}
			line = next
			c.records.consume(len(piece))
		}
	}
}

// step goes to the next record. At END_REQUEST it returns ended, at stdout it leaves the
// content to be read, everything else it takes in.
func (a *answer) step(c *conn) (ended bool, err error) {
	if err := c.records.next(); err != nil {
		return false, err
	}
	switch c.records.typ {
	case typeStdout:
		return false, nil
	case typeEnd:
		status, err := c.records.end()
		if err == nil && status != statusComplete {
			err = endError{status}
		}
		return err == nil, err
	}
	for c.records.left > 0 {
		piece, err := c.records.content()
		if err != nil {
			return false, err
		}
		a.lines.Write(piece)
		c.records.consume(len(piece))
	}
	return false, nil
}
