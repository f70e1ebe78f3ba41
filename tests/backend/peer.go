package backend

import (
	"fmt"
	"io"
	"net"
	"strings"
	"time"
)

// A Protocol is one that backends speak.
type Protocol string

// The protocols.
const (
	FCGI Protocol = "fastcgi"
	SCGI Protocol = "scgi"
	HTTP Protocol = "proxy"
)

// Peer is the backend's end of one connection, for tests that say themselves what goes over it.
// One goroutine may use it.
type Peer struct {
	Protocol Protocol

	conn     *conn
	requests map[uint16]*fcgiRequest
	keep     bool // another request may follow
	chunked  bool // the answer
}

// Serve accepts connections on l, which Close closes, and runs serve for each of them in a
// goroutine of its own. A connection ends when its serve returns.
func Serve(l net.Listener, protocol Protocol, serve func(*Peer)) *Backend {
	b := newBackend()
	b.serve(l, func(c *conn) error {
		serve(&Peer{Protocol: protocol, conn: c, requests: map[uint16]*fcgiRequest{}})
		return nil
	})
	return b
}

// Request is the head of a request.
type Request struct {
	Method string
	Target string // path and query
	params []param
}

// Receive reads a request. Its body goes to sink as it comes.
func (p *Peer) Receive(sink io.Writer) (*Request, error) {
	switch p.Protocol {
	case FCGI:
		_, r, err := p.conn.readFCGI(p.requests, sink)
		if err != nil {
			return nil, err
		}
		params, err := fcgiPairs(r.params)
		p.keep = r.keep
		return cgiRequest(params), err
	case SCGI:
		params, err := p.conn.readSCGI(sink)
		return cgiRequest(params), err
	}
	r, err := p.conn.readHTTP(sink)
	if err != nil {
		return nil, err
	}
	p.keep = !strings.EqualFold(r.lower["connection"], "close")
	target, _ := lookup(r.params, ":target")
	return &Request{r.method, target, r.params}, nil
}

func cgiRequest(params []param) *Request {
	method, _ := lookup(params, "REQUEST_METHOD")
	target, _ := lookup(params, "REQUEST_URI")
	return &Request{method, target, params}
}

// Get returns a variable of the request, or for HTTP a field; "" when there is none.
func (r *Request) Get(name string) string {
	value, _ := lookup(r.params, name)
	return value
}

// Begin sends the head of a good answer. length is that of the body, -1 for one that is not
// told. fields are "Name: value".
func (p *Peer) Begin(length int, fields ...string) error {
	p.chunked = false
	switch {
	case length >= 0:
		fields = append(fields, fmt.Sprintf("Content-Length: %d", length))
	case p.Protocol == HTTP:
		p.chunked = true
		fields = append(fields, "Transfer-Encoding: chunked")
	}
	head := strings.Join(append(fields, "Content-Type: text/plain", "", ""), "\r\n")
	switch p.Protocol {
	case FCGI:
		head = Stdout(head)
	case HTTP:
		head = "HTTP/1.1 200 OK\r\n" + head
	}
	return p.conn.send(head)
}

// Piece sends a piece of the body.
func (p *Peer) Piece(text string) error {
	switch {
	case text == "": // would be the end
	case p.Protocol == FCGI:
		text = Stdout(text)
	case p.chunked:
		text = fmt.Sprintf("%x\r\n%s\r\n", len(text), text)
	}
	return p.conn.send(text)
}

// End completes the answer. It reports whether another request may follow.
func (p *Peer) End() bool {
	end := ""
	switch {
	case p.Protocol == FCGI:
		end = Stdout("") + EndRequest(0)
	case p.chunked:
		end = "0\r\n\r\n"
	}
	return p.conn.send(end) == nil && p.keep
}

// Send sends bytes as they are, in one write.
func (p *Peer) Send(text string) error { return p.conn.send(text) }

// Hang waits until the other side leaves.
func (p *Peer) Hang() { io.Copy(io.Discard, p.conn) }

// Ignore reads nothing until the backend is closed.
func (p *Peer) Ignore() { p.conn.sleep(time.Hour) }

// Reset resets the connection, which must be TCP, in place of closing it.
func (p *Peer) Reset() {
	p.conn.Conn.(*net.TCPConn).SetLinger(0)
	p.conn.Close()
}

// Stdout is text in FastCGI records of the request 1; without text it is the record that ends the
// stream.
func Stdout(text string) string { return fcgiRecord(fcgiStdout, 1, text) }

// Stderr is the same for the other stream.
func Stderr(text string) string { return fcgiRecord(fcgiStderr, 1, text) }

// Record is a FastCGI record of the request id, of any type.
func Record(kind byte, id uint16, data string) string { return fcgiRecord(kind, id, data) }

// EndRequest is the FastCGI record that ends the request 1, with a protocol status.
func EndRequest(status byte) string {
	return fcgiRecord(fcgiEnd, 1, string([]byte{0, 0, 0, 0, status, 0, 0, 0}))
}
