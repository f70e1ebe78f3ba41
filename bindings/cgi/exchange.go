package cgi

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"luaserve/bindings/fcgi"
	"luaserve/bindings/upstream"
)

// drainLimit is how much output, in bytes, is read past when nobody wants it, before the
// program is stopped.
const drainLimit = 1 << 20

// exchange is one request with the program that answers it.
type exchange struct {
	*process
	config  *Config
	ctx     context.Context
	unwatch func() bool // ends watching ctx
	program string

	br *bufio.Reader // reads stdout through output

	sent     atomic.Int64 // pieces of the request body that the program took
	awaiting atomic.Bool  // the next piece is waited for
	over     atomic.Bool  // nobody wants the rest of the answer
}

// run sends the request body, in a goroutine of its own, and reads the response head.
func (x *exchange) run(r *Request) (*fcgi.Response, error) {
	if x.stdin != nil {
		go x.upload(r.Body, r.Length)
	}
	x.br = bufio.NewReader(output{x})
	resp, err := fcgi.ReadHead(x.br, x.config.MaxHeadBytes)
	switch max := x.config.MaxOutputBytes; {
	case err != nil:
	case resp.Status < 200:
		err = fmt.Errorf("the answer has the status %d", resp.Status)
	case max > 0 && resp.Length > max && !r.bodiless(resp.Status):
		err = fcgi.TooLong(max)
	}
	if err != nil {
		err = x.fault("head", err)
		x.finish(false)
		return nil, err
	}
	if r.bodiless(resp.Status) {
		resp.Body = http.NoBody
		x.finish(false)
		return resp, nil
	}
	resp.Body = fcgi.NewBody(x.br, resp.Length, x.config.MaxOutputBytes, func(err error) error {
		return x.bodyEnds(err, resp.Length < 0)
	})
	return resp, nil
}

var pieces = sync.Pool{New: func() any { return new([32 << 10]byte) }}

// upload writes the request body to the program, which may answer without reading it. A body
// that fails must not be taken for the whole: the program is stopped, and sees no end of it.
func (x *exchange) upload(body io.Reader, left int64) {
	mem := pieces.Get().(*[32 << 10]byte)
	defer pieces.Put(mem)
	for left > 0 && !x.over.Load() {
		x.awaiting.Store(true)
		n, err := body.Read(mem[:min(left, int64(len(mem)))])
		x.sent.Add(1)
		x.awaiting.Store(false)
		if left -= int64(n); err != nil && left > 0 {
			if err == io.EOF {
				err = fmt.Errorf("the request body is shorter than its length: %w", io.ErrUnexpectedEOF)
			}
			if !x.over.Load() {
				x.stop(x.errorOf("upload", upstream.BadRequest, err))
			}
			return
		}
		if _, err := x.stdin.Write(mem[:n]); err != nil {
			return
		}
		x.sent.Add(1)
	}
	x.closeInput()
}

// output reads stdout within the timeout. It ends with io.EOF, or with io.ErrUnexpectedEOF
// when the program was killed.
type output struct{ x *exchange }

func (o output) Read(p []byte) (int, error) {
	x := o.x
	for {
		sent := x.sent.Load()
		x.arm(x.config.Timeout)
		n, err := x.stdout.Read(p)
		if n > 0 {
			return n, nil
		}
		cause, ended := x.state()
		switch {
		case cause != nil:
			return 0, cause
		case err == io.EOF:
			return 0, x.endOfOutput()
		case !upstream.IsTimeout(err):
			return 0, err
		case ended: // a child has stdout open
			return 0, x.endOfOutput()
		case x.awaiting.Load() || x.sent.Load() != sent: // the program waits for the client, or was busy
			continue
		}
		return 0, err
	}
}

// endOfOutput waits for the program, which usually ends with its output, to see how.
func (x *exchange) endOfOutput() error {
	select {
	case <-x.ended:
	case <-time.After(linger):
	}
	cause, ended := x.state()
	switch {
	case cause != nil:
		return cause
	case ended && !x.cmd.ProcessState.Exited():
		return io.ErrUnexpectedEOF
	}
	return io.EOF
}

// bodyEnds ends the request; see [fcgi.NewBody]. toEnd says that the end of the output is the end
// of the body.
func (x *exchange) bodyEnds(err error, toEnd bool) error {
	switch err {
	case io.EOF:
		x.finish(toEnd)
		return err
	case fcgi.ErrBodyClosed:
		e := x.errorOf("body", upstream.Canceled, err)
		if x.ctx.Err() != nil {
			x.stop(e)
		}
		x.finish(false)
		return e
	}
	e := x.fault("body", err)
	x.finish(false)
	return e
}

// finish is called when nothing more is passed on. The program may go on for a while: what it
// writes is read past, so that it does not die of its last words, unless all of it was read.
func (x *exchange) finish(all bool) {
	x.unwatch()
	x.over.Store(true)
	cause, ended := x.state()
	if cause == nil {
		x.closeInput()
		if t := x.config.Timeout; t > 0 {
			x.stopAfter(t, x.errorOf("body", upstream.Timeout, errGoesOn))
		}
	}
	if cause != nil || ended || all {
		x.stdout.Close()
		return
	}
	go x.drain()
}

var errGoesOn = errors.New("the program goes on behind its answer")

// drain reads past what the program still writes.
func (x *exchange) drain() {
	defer x.stdout.Close()
	if _, err := io.CopyN(io.Discard, output{x}, drainLimit); err != io.EOF {
		x.stop(x.errorOf("body", upstream.BadResponse, errGoesOn))
	}
}

// fault ends the request after a fault of the program and returns the Error of it.
func (x *exchange) fault(op string, err error) *Error {
	if cause, _ := x.state(); cause != nil {
		return cause
	}
	e := x.errorOf(op, upstream.BadResponse, err)
	switch {
	case upstream.IsTimeout(err):
		e.Kind, e.Err = upstream.Timeout, fmt.Errorf("the program made no progress for %v", x.config.Timeout)
	case err == io.EOF, err == io.ErrUnexpectedEOF:
		e.Err = fmt.Errorf("the program %s before the end of its answer: %w", x.howEnded(), io.ErrUnexpectedEOF)
	}
	x.stop(e)
	return e
}

// howEnded says what became of the program at the end of its output.
func (x *exchange) howEnded() string {
	if _, ended := x.state(); ended {
		return fmt.Sprintf("ended (%s)", x.cmd.ProcessState)
	}
	return "closed its output"
}

func (x *exchange) errorOf(op string, kind upstream.Kind, err error) *Error {
	return &Error{Proto: proto, Op: op, Addr: x.program, Kind: kind, Sent: true, Err: err}
}
