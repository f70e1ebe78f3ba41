package scgi

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"time"

	"luaserve/bindings/fcgi"
	"luaserve/bindings/upstream"
)

// exchange is one request on its connection.
type exchange struct {
	upstream.Conn
	config      *Config
	ctx         context.Context
	stop        func() bool // ends watching ctx; nil as long as that is not watched
	readTimeout time.Duration
	br          *bufio.Reader // reads the connection
}

func newExchange(ctx context.Context, nc net.Conn, config *Config) *exchange {
	x := &exchange{Conn: upstream.NewConn(nc), config: config, ctx: ctx, readTimeout: config.ReadTimeout}
	x.Late, x.SendTimeout = x.late, config.SendTimeout
	return x
}

// watch closes the connection when the context of the request ends, from the first call on.
func (x *exchange) watch() {
	if x.stop == nil && x.ctx.Done() != nil {
		x.stop = context.AfterFunc(x.ctx, func() { x.Net.Close() })
	}
}

// late is what a read does while nothing comes; see [upstream.Conn].
func (x *exchange) late(waited time.Duration) (more time.Duration) {
	x.watch()
	if x.readTimeout <= 0 {
		return -1
	}
	return max(x.readTimeout-waited, 0)
}

// lastLook is the wait for an answer of an application that does not take the request.
const lastLook = time.Second

// run sends the request and reads the response head.
func (x *exchange) run(r *Request, head []byte) (*fcgi.Response, error) {
	if r.Length > 0 {
		x.watch() // the application may be slow in taking it
	}
	bodyErr, sendErr := x.send(r, head)
	if bodyErr != nil {
		return nil, &Error{Proto: proto, Op: "upload", Addr: x.config.Address, Kind: upstream.BadRequest, Sent: true, Err: bodyErr}
	}
	stuck := upstream.IsTimeout(sendErr)
	if stuck {
		x.readTimeout = lastLook
	}
	// also after an error: the application may have answered without reading everything
	x.br = bufio.NewReader(x)
	resp, err := fcgi.ReadHead(x.br, x.config.MaxHeadBytes)
	if err != nil && stuck {
		return nil, classify(x.ctx, "send", x.config.Address, sendErr)
	}
	if err != nil {
		return nil, classify(x.ctx, "head", x.config.Address, err)
	}
	x.readTimeout = x.config.ReadTimeout
	resp.Body = fcgi.NewBody(x.br, resp.Length, 0, x.bodyEnds)
	if r.method() == http.MethodHead || resp.Status == http.StatusNoContent || resp.Status == http.StatusNotModified {
		resp.Body = http.NoBody
		x.end()
	}
	return resp, nil
}

// writers collect a request, so that a short one goes out in one write.
var writers = sync.Pool{New: func() any { return bufio.NewWriterSize(nil, 32<<10) }}

// send sends the head and the body. It tells apart whether the body or sending failed.
func (x *exchange) send(r *Request, head []byte) (bodyErr, sendErr error) {
	w := writers.Get().(*bufio.Writer)
	defer func() {
		w.Reset(nil)
		writers.Put(w)
	}()
	w.Reset(x)
	if _, err := w.Write(head); err != nil {
		return nil, err
	}
	if r.Length > 0 {
		src := &source{r: r.Body}
		n, err := io.Copy(w, io.LimitReader(src, r.Length))
		switch {
		case src.err != nil:
			return src.err, nil
		case err != nil:
			return nil, err
		case n < r.Length:
			return fmt.Errorf("the request body is shorter than its length: %w", io.ErrUnexpectedEOF), nil
		}
	}
	return nil, w.Flush()
}

// source is a request body that keeps its error.
type source struct {
	r   io.Reader
	err error
}

func (s *source) Read(p []byte) (int, error) {
	n, err := s.r.Read(p)
	if err != nil && err != io.EOF {
		s.err = err
	}
	return n, err
}

// bodyEnds ends the request; see [fcgi.NewBody].
func (x *exchange) bodyEnds(err error) error {
	switch err {
	case io.EOF:
	case fcgi.ErrBodyClosed:
		err = &Error{Proto: proto, Op: "body", Addr: x.config.Address, Kind: upstream.Canceled, Sent: true, Err: err}
	default:
		err = classify(x.ctx, "body", x.config.Address, err)
	}
	x.end()
	return err
}

// end closes the connection.
func (x *exchange) end() {
	if x.stop != nil {
		x.stop()
	}
	x.Net.Close()
}
