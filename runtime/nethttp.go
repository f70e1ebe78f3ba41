package runtime

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"
)

// ServeHTTP runs the pipeline for one net/http request. It implements [http.Handler].
func (p *Program) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	serveNetHTTP(w, r, p.Handle, p.log)
}

// NetHTTP makes an [http.Handler] of what answers exchanges: [Program.Handle], or what a
// server does to choose among programs. log hears of answers that were cut. What a request
// should know of its connection beyond what net/http tells comes with [WithConnection].
func NetHTTP(handle func(Exchange) *Reply, log *slog.Logger) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		serveNetHTTP(w, r, handle, log)
	})
}

func serveNetHTTP(w http.ResponseWriter, r *http.Request, handle func(Exchange) *Reply, log *slog.Logger) {
	reply := handle(&netHTTPExchange{r: r, w: w})
	defer reply.Close()
	if reply.Upgrade() != "" {
		upgradeNetHTTP(w, reply, log)
		return
	}
	head := w.Header()
	for name, value := range reply.Header.All() {
		if sameName(name, "Trailer") {
			continue // net/http would repeat fields of these names behind the body
		}
		head[name] = append(head[name], value)
	}
	if r.ProtoMajor >= 2 {
		dropConnectionFields(head)
	}
	if con := sharedConnection(r); con != nil {
		// net/http makes a GOAWAY of it in HTTP/2
		if _, requests := reply.KeepAlive(); con.served.Add(1) >= requests && requests > 0 {
			head["Connection"] = []string{"close"}
		}
	}
	// net/http guesses a Content-Type where there is none; an explicit nil stops it.
	if !reply.Header.Has("Content-Type") {
		head["Content-Type"] = nil
	}
	if reply.Length >= 0 && bodyAllowed(reply.Status) {
		head["Content-Length"] = []string{strconv.FormatInt(reply.Length, 10)}
	}
	w.WriteHeader(reply.Status)
	if r.Method == http.MethodHead || !bodyAllowed(reply.Status) {
		return
	}
	var flush func()
	if f, ok := w.(http.Flusher); ok {
		flush = f.Flush
	}
	if err := reply.WriteBody(w, flush); err != nil {
		panic(http.ErrAbortHandler)
	}
	if trailer := reply.Trailer(); len(trailer) > 0 && flush != nil {
		flush() // a short body would get a length, and then nothing can follow it
		for _, f := range trailer {
			head[http.TrailerPrefix+f.Name] = append(head[http.TrailerPrefix+f.Name], f.Value)
		}
	}
}

// upgradeNetHTTP takes the connection over and hands it to the other protocol.
func upgradeNetHTTP(w http.ResponseWriter, reply *Reply, log *slog.Logger) {
	conn, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil {
		log.Error("a connection cannot be upgraded", "error", err)
		w.WriteHeader(http.StatusInternalServerError)
		return
	}
	defer conn.Close()
	conn.SetDeadline(time.Time{})
	fmt.Fprintf(buffered, "HTTP/1.1 101 %s\r\nConnection: Upgrade\r\nUpgrade: %s\r\n", StatusText(reply.Status), reply.Upgrade())
	for name, value := range reply.Header.All() {
		if ValidFieldValue(value) {
			fmt.Fprintf(buffered, "%s: %s\r\n", name, value)
		}
	}
	buffered.WriteString("\r\n")
	if buffered.Flush() == nil {
		reply.Tunnel(bufferedConn{conn, buffered.Reader})
	}
}

// bufferedConn is a connection that is read through a buffer.
type bufferedConn struct {
	net.Conn
	r *bufio.Reader
}

func (c bufferedConn) Read(p []byte) (int, error) { return c.r.Read(p) }

// CloseWrite says that nothing more is written.
func (c bufferedConn) CloseWrite() error {
	if cw, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return cw.CloseWrite()
	}
	return c.Conn.Close()
}

// dropConnectionFields removes what HTTP/2 has no place for (RFC 9113, 8.2.2). That an
// error ends a connection is one of these things: streams are framed each for itself.
func dropConnectionFields(head http.Header) {
	for name := range head {
		switch strings.ToLower(name) {
		case "connection", "proxy-connection", "keep-alive", "transfer-encoding", "upgrade":
			delete(head, name)
		}
	}
}

// netHTTPExchange is the Exchange of net/http. Go's header map has lost the order in
// which different fields came; they are given in the order of their names, Host first.
type netHTTPExchange struct {
	r *http.Request
	w http.ResponseWriter
}

func (e *netHTTPExchange) Context() context.Context { return e.r.Context() }
func (e *netHTTPExchange) Method() string           { return e.r.Method }
func (e *netHTTPExchange) Proto() string            { return e.r.Proto }
func (e *netHTTPExchange) ContentLength() int64     { return e.r.ContentLength }
func (e *netHTTPExchange) Body() io.Reader          { return e.r.Body }

// Host returns the :authority or Host field. A HTTP/2 request may have both (RFC 9113,
// 8.3.1); where they differ it would be routed by one of them, and its application told the
// other, so the result is no host then.
func (e *netHTTPExchange) Host() string {
	for _, host := range e.r.Header["Host"] {
		if !strings.EqualFold(host, e.r.Host) {
			return e.r.Host + ", " + host
		}
	}
	return e.r.Host
}

// CanUpgrade implements [Exchange].
func (e *netHTTPExchange) CanUpgrade() bool {
	for w := e.w; ; {
		if _, ok := w.(http.Hijacker); ok {
			return e.r.ProtoMajor == 1
		}
		inner, ok := w.(interface{ Unwrap() http.ResponseWriter })
		if !ok {
			return false
		}
		w = inner.Unwrap()
	}
}

func (e *netHTTPExchange) Target() string {
	if e.r.RequestURI != "" {
		return e.r.RequestURI
	}
	return e.r.URL.RequestURI()
}

func (e *netHTTPExchange) Connection() Connection {
	if con := sharedConnection(e.r); con != nil {
		return con.Connection
	}
	con := Connection{TLS: e.r.TLS}
	if a, ok := e.r.Context().Value(http.LocalAddrContextKey).(net.Addr); ok {
		con.Local = AddrPort(a)
	}
	if a, err := netip.ParseAddrPort(e.r.RemoteAddr); err == nil {
		con.Remote = plainAddrPort(a)
	}
	return con
}

func (e *netHTTPExchange) EachHeader(f func(name, value string)) {
	if e.r.Host != "" {
		f("Host", e.r.Host)
	}
	names := make([]string, 0, len(e.r.Header))
	for name := range e.r.Header {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		if name == "Host" {
			continue // HTTP/2 leaves it beside :authority
		}
		for _, value := range e.r.Header[name] {
			f(name, value)
		}
	}
	if len(e.r.TransferEncoding) > 0 {
		f("Transfer-Encoding", e.r.TransferEncoding[0])
	}
}

// bodyAllowed reports whether a response of this status may have a body (RFC 9110, 6.4.1;
// 205 as in 15.3.6).
func bodyAllowed(status int) bool {
	return status >= 200 && status != 204 && status != 205 && status != 304
}
