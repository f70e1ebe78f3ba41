// Package backend is the application behind the server in the tests: it speaks FastCGI and
// SCGI over unix sockets and HTTP over 127.0.0.1, and the query string tells it what to answer.
//
// The words of the query string are percent-decoded, separated by "&"; the first of a name counts,
// except for h, which may be repeated:
//
//	(nothing)          200, text/plain; body: all params sorted as "KEY=value\n", then
//	                   "--stdin--\n" and the request body. A numeric REMOTE_PORT reads "<port>".
//	only=A,B           only these params ("A=<unset>" when missing), no stdin
//	names=1            body: the names of the params in the order received, one a line
//	status=NNN[ Txt]   CGI "Status:" header; for HTTP the status line
//	h=Name: value      adds a response header
//	ct=type            Content-Type (default text/plain); an empty one omits the header
//	body=text          fixed body
//	size=N             body of N times "x"
//	stdin=1            body: the request body
//	stdinlen=1         body: the length of the request body
//	xsendfile=path     adds "X-Sendfile: path", body "backend body"
//	location=url       adds "Location: url"
//	delay=SEC          sleeps before it sends anything
//	bodydelay=SEC      sends the head, sleeps, sends the body
//	chunks=N           sends the body in N writes with 20 ms between them
//	trunc=N            announces a Content-Length that is N too long, then closes
//	cl=1               sends a correct Content-Length
//	stderr=text        FastCGI: text on the STDERR stream first
//	exit=1             closes the connection without an answer
//	halfhdr=1          sends half a header, then closes
//	raw=text           text is the whole CGI output or HTTP response
//	te=1               HTTP: chunked body
//	http10=1           HTTP: an HTTP/1.0 answer without a length, ended by the close
//
// A request that makes no sense to it (size=abc, a malformed record) closes the connection.
package backend

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// Backend is a running application. Its addresses have the form that a script writes.
type Backend struct {
	FCGI string // "unix:" and the path of the socket
	SCGI string // likewise
	HTTP string // "127.0.0.1:port", always with a port of five digits

	listeners []net.Listener
	done      chan struct{} // closed by Close; ends sleeps
	wg        sync.WaitGroup

	mu     sync.Mutex
	conns  map[net.Conn]bool
	closed bool
}

// errClose ends a connection: the plan says so, or the request makes no sense.
var errClose = errors.New("backend: close the connection")

// Start listens on dir/fcgi, dir/scgi and a free port of 127.0.0.1. It makes dir if need be; the path
// of a unix socket is limited to about 100 bytes, so dir should be short.
func Start(dir string) (*Backend, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	b := newBackend()
	fcgi, scgi := filepath.Join(dir, "fcgi"), filepath.Join(dir, "scgi")
	b.FCGI, b.SCGI = "unix:"+fcgi, "unix:"+scgi
	for _, s := range []struct {
		path  string
		serve func(*conn) error
	}{{fcgi, serveFCGI}, {scgi, serveSCGI}, {"", serveHTTP}} {
		l, err := listen(s.path)
		if err != nil {
			b.Close()
			return nil, err
		}
		if s.path == "" {
			b.HTTP = l.Addr().String()
		}
		b.serve(l, s.serve)
	}
	return b, nil
}

func newBackend() *Backend {
	return &Backend{done: make(chan struct{}), conns: map[net.Conn]bool{}}
}

func (b *Backend) serve(l net.Listener, serve func(*conn) error) {
	b.listeners = append(b.listeners, l)
	b.wg.Add(1)
	go b.accept(l, serve)
}

// listen opens a unix socket at path, or with an empty path a TCP port of five digits: the recorded
// lengths of texts that hold the address were made with such ports.
func listen(path string) (net.Listener, error) {
	if path != "" {
		// a socket file left behind by a killed run would be "address in use"
		if err := os.Remove(path); err != nil && !os.IsNotExist(err) {
			return nil, err
		}
		return net.Listen("unix", path)
	}
	for {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		if l.Addr().(*net.TCPAddr).Port >= 10000 {
			return l, nil
		}
		l.Close()
	}
}

// Close stops listening, closes the connections and waits for their goroutines.
func (b *Backend) Close() {
	b.mu.Lock()
	if b.closed {
		b.mu.Unlock()
		return
	}
	b.closed = true
	close(b.done)
	for _, l := range b.listeners {
		l.Close()
	}
	for c := range b.conns {
		c.Close()
	}
	b.mu.Unlock()
	b.wg.Wait()
}

func (b *Backend) accept(l net.Listener, serve func(*conn) error) {
	defer b.wg.Done()
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		if !b.track(c) {
			c.Close()
			return
		}
		go func() {
			defer b.wg.Done()
			defer b.untrack(c)
			_ = serve(newConn(c, b.done)) // every error means: close
			// FIN before the close: a close with unread input resets the connection, and then the
			// peer may lose what was sent
			_ = c.(interface{ CloseWrite() error }).CloseWrite()
		}()
	}
}

func (b *Backend) track(c net.Conn) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return false
	}
	b.conns[c] = true
	b.wg.Add(1)
	return true
}

func (b *Backend) untrack(c net.Conn) {
	b.mu.Lock()
	delete(b.conns, c)
	b.mu.Unlock()
	c.Close()
}

// sleep waits for d; it is an error when the backend is closed meanwhile.
func (c *conn) sleep(d time.Duration) error {
	if d <= 0 {
		return nil
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-c.done:
		return errClose
	}
}
