package runtime

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
)

// ServeHTTP runs the pipeline for one net/http request. It implements [http.Handler].
func (p *Program) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	reply := p.Handle(&netHTTPExchange{r: r})
	defer reply.Close()
	head := w.Header()
	for name, value := range reply.Header.All() {
		head[name] = append(head[name], value)
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
		p.log.Debug("response cut", "error", err, "path", r.URL.Path)
		panic(http.ErrAbortHandler)
	}
}

// netHTTPExchange is the Exchange of net/http. Go's header map has lost the order in
// which different fields came; they are given in the order of their names, Host first.
type netHTTPExchange struct {
	r *http.Request
}

func (e *netHTTPExchange) Context() context.Context { return e.r.Context() }
func (e *netHTTPExchange) Method() string           { return e.r.Method }
func (e *netHTTPExchange) Proto() string            { return e.r.Proto }
func (e *netHTTPExchange) Host() string             { return e.r.Host }
func (e *netHTTPExchange) TLS() *tls.ConnectionState {
	return e.r.TLS
}
func (e *netHTTPExchange) ContentLength() int64 { return e.r.ContentLength }
func (e *netHTTPExchange) Body() io.Reader      { return e.r.Body }

func (e *netHTTPExchange) Target() string {
	if e.r.RequestURI != "" {
		return e.r.RequestURI
	}
	return e.r.URL.RequestURI()
}

func (e *netHTTPExchange) LocalAddr() netip.AddrPort {
	if a, ok := e.r.Context().Value(http.LocalAddrContextKey).(*net.TCPAddr); ok {
		return unmapped(a.AddrPort())
	}
	return netip.AddrPort{}
}

func (e *netHTTPExchange) RemoteAddr() netip.AddrPort {
	a, err := netip.ParseAddrPort(e.r.RemoteAddr)
	if err != nil {
		return netip.AddrPort{}
	}
	return unmapped(a)
}

func unmapped(a netip.AddrPort) netip.AddrPort {
	return netip.AddrPortFrom(a.Addr().Unmap(), a.Port())
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
