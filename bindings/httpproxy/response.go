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
	// Header has the fields in the order of their names, without what belongs to one
	// connection only. The Content-Length of the answer to HEAD and of 304 is that of the
	// body which is not there.
	Header []Field
	// Trailer gives the fields behind the body, in the order of their names, once Body was
	// read to its end. Those that belong to the head, or to one connection, are left out (RFC
	// 9110 section 6.5.1). It is nil when there cannot be any, or [Request.Trailers] is not set;
	// else Header may have a field Trailer, which announces some of them.
	Trailer func() []Field
	// Data is the whole body, when it came together with the head; Body is empty then.
	Data []byte
	// Body is never nil. Read returns io.EOF only at the end of the message; a body that
	// broke off is an [Error] that matches io.ErrUnexpectedEOF. Close closes the connection
	// unless the end was read. One goroutine at a time may use Body.
	Body io.ReadCloser
	// Tunnel is set when the upstream went over to the protocol that [Request.Upgrade] asks
	// for. The caller runs or closes it; there is no body then.
	Tunnel *Tunnel
}

func newResponse(cn *conn, r *Request, resp *http.Response) (*Response, error) {
	out := &Response{Status: resp.StatusCode, Header: responseFields(resp.Header), Body: http.NoBody}
	n := resp.ContentLength
	switch {
	case resp.StatusCode == http.StatusSwitchingProtocols:
		out.Tunnel = newTunnel(cn, resp.Header.Get("Upgrade"))
		return out, nil
	case resp.Body == http.NoBody:
	case 0 < n && n <= int64(cn.br.Buffered()):
		out.Data = make([]byte, n)
		if _, err := io.ReadFull(resp.Body, out.Data); err != nil {
			err = cn.fault("body", err)
			cn.drop()
			return nil, err
		}
	default:
		out.Body = &body{conn: cn, src: resp.Body, keep: !resp.Close}
		if t := newTrailer(resp); t != nil && r.Trailers {
			out.Trailer = t.fields
			if names := t.announced(); names != "" {
				out.Header = append(out.Header, Field{"Trailer", names})
			}
		}
		return out, nil
	}
	cn.finish(!resp.Close)
	return out, nil
}

// body is the body of a response.
type body struct {
	conn *conn // nil when it was given back
	src  io.Reader
	keep bool  // the upstream keeps the connection open
	err  error // what Read returns from now on
}

var errBodyClosed = errors.New("the response body was closed")

// Read implements io.Reader.
func (b *body) Read(p []byte) (int, error) {
	if b.err != nil {
		return 0, b.err
	}
	n, err := b.src.Read(p)
	switch err {
	case nil:
	case io.EOF:
		b.err = io.EOF
		b.conn.finish(b.keep)
	default:
		b.err = b.conn.fault("body", b.conn.why(err))
		b.conn.drop()
	}
	return n, b.err
}

// Close implements io.Closer.
func (b *body) Close() error {
	if b.err == nil {
		b.err = &Error{Proto: proto, Op: "body", Addr: b.conn.config.Address, Kind: upstream.Canceled, Sent: true, Err: errBodyClosed}
		b.conn.drop()
	}
	return nil
}
