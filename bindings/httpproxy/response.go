package httpproxy

import (
	"errors"
	"io"
	"net/http"

	"luaserve/bindings/upstream"
)

// Response is the final answer of an upstream.
type Response struct {
	Status int // from 200 to 999, or 101 when Tunnel is set
	// Header has the fields in the upstream's order and spelling, without what belongs to one
	// connection only. The Content-Length of the answer to HEAD and of 304 is that of the
	// body which is not there.
	Header []Field
	// Trailer gives the fields behind the body, in their order, once Body was read to its end.
	// Those that belong to the head, or to one connection, are left out (RFC 9110 section
	// 6.5.1). It is nil when there cannot be any, or [Request.Trailers] is not set; else
	// Header may have a field Trailer, which announces some of them.
	Trailer func() []Field
	// Data is the whole body, when it came together with the head; Body is empty then.
	Data string
	// Body is never nil. Read returns io.EOF only at the end of the message; a body that
	// broke off is an [Error] that matches io.ErrUnexpectedEOF. Close closes the connection
	// unless the end was read. One goroutine at a time may use Body.
	Body io.ReadCloser
	// Tunnel is set when the upstream went over to the protocol that [Request.Upgrade] asks
	// for. The caller runs or closes it; there is no body then.
	Tunnel *Tunnel
}

// answer is a response with its memory.
type answer struct {
	Response
	body   body
	head   head
	fields [8]Field // the first memory of Header
}

// respond makes the response of the head that was read.
func (a *answer) respond(cn *conn, method string, trailers bool) *Response {
	h := &a.head
	a.Status, a.Header, a.Body = h.status, h.fields, http.NoBody
	n := h.length
	switch {
	case h.status == http.StatusSwitchingProtocols:
		a.Tunnel = newTunnel(cn, h.upgrade)
		return &a.Response
	case method == http.MethodHead, h.status == http.StatusNoContent, h.status == http.StatusNotModified, n == 0:
	case 0 < n && n <= int64(cn.w-cn.r):
		if a.Data = h.behind; n <= int64(len(a.Data)) {
			a.Data = a.Data[:n]
		} else {
			a.Data = string(cn.buffered()[:n])
		}
		cn.r += int(n)
	default:
		a.Body = &a.body
		a.body = body{conn: cn, keep: h.keep, chunked: h.chunked, left: n}
		switch {
		case h.chunked:
			a.body.left = 0
		case n < 0:
			a.body.keep = false
		}
		if h.chunked && trailers {
			a.body.trailer = newTrailer(h)
			a.Trailer = a.body.trailer.all
			if names := a.body.trailer.announced(h.trailer); names != "" {
				a.Header = append(a.Header, Field{"Trailer", names})
			}
		}
		return &a.Response
	}
	cn.finish(h.keep)
	return &a.Response
}

// body is the body of a response.
type body struct {
	conn    *conn
	keep    bool  // the upstream keeps the connection open
	chunked bool  // else it has a length, or ends with the connection
	left    int64 // of the body, or of the running chunk; -1 when the length is not known
	begun   bool  // a chunk has begun, so there is a line break behind it
	excess  int64 // bytes of chunk headers beyond what is usual
	trailer *trailer
	err     error // what Read returns from now on
}

var errBodyClosed = errors.New("the response body was closed")

// Read implements io.Reader.
func (b *body) Read(p []byte) (int, error) {
	if b.err != nil {
		return 0, b.err
	}
	if len(p) == 0 {
		return 0, nil
	}
	read := b.readPlain
	if b.chunked {
		read = b.readChunks
	}
	n, err := read(p)
	switch err {
	case nil:
	case io.EOF:
		b.err = io.EOF
		b.conn.finish(b.keep)
	default:
		b.err = b.conn.fault("body", err)
		b.conn.drop()
	}
	return n, b.err
}

// readPlain returns io.EOF together with the last bytes of a body with a length.
func (b *body) readPlain(p []byte) (int, error) {
	if b.left >= 0 && int64(len(p)) > b.left {
		p = p[:b.left]
	}
	n, err := b.conn.Read(p)
	if b.left < 0 {
		return n, err
	}
	if b.left -= int64(n); b.left == 0 {
		return n, io.EOF
	}
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}

// Close implements io.Closer.
func (b *body) Close() error {
	if b.err == nil {
		b.err = &Error{Proto: proto, Op: "body", Addr: b.conn.config.Address, Kind: upstream.Canceled, Sent: true, Err: errBodyClosed}
		b.conn.drop()
	}
	return nil
}
