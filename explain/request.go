// Package explain runs single requests through a program, without a server, and tells what
// the pipeline did with them. The commands explain, test, replay, repl and playground are
// made of it.
package explain

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net/netip"
	"net/url"
	"strconv"
	"strings"

	"luaserve/runtime"
)

// Request is a request that nobody has sent.
type Request struct {
	Method string          // "" for GET, POST with a body
	URL    string          // http://example.net/path?query; the scheme may be left out, and the host where a field Host is given
	Header []runtime.Field // in order; Host and Content-Length are added when they are missing
	Body   []byte
	Remote netip.AddrPort // whom it seems to come from; 127.0.0.1:40000 when it is not valid
}

// ParseHeader reads a field as curl takes it: "Name: value".
func ParseHeader(s string) (runtime.Field, error) {
	name, value, ok := strings.Cut(s, ":")
	name, value = strings.TrimSpace(name), strings.TrimSpace(value)
	if !ok || !runtime.ValidFieldName(name) || !runtime.ValidFieldValue(value) {
		return runtime.Field{}, fmt.Errorf(`%q is no header field; expected "Name: value"`, s)
	}
	return runtime.Field{Name: name, Value: value}, nil
}

// ParseRemote reads the address of a client, "192.0.2.7" or "::1".
func ParseRemote(s string) (netip.AddrPort, error) {
	addr, err := netip.ParseAddr(s)
	if err != nil {
		return netip.AddrPort{}, fmt.Errorf("%q is no address; expected one like 192.0.2.7 or ::1", s)
	}
	return netip.AddrPortFrom(addr, 40000), nil
}

// exchange is the front end of such a request.
type exchange struct {
	Request
	ctx    context.Context
	target string
	host   string
	https  bool
}

// newExchange checks a request and adds what a client would.
func newExchange(ctx context.Context, r Request) (*exchange, error) {
	ex := &exchange{Request: r, ctx: ctx}
	scheme, rest, ok := strings.Cut(r.URL, "://")
	switch {
	case !ok && strings.HasPrefix(r.URL, "/"):
		ex.target = r.URL
	case !ok:
		return newExchange(ctx, Request{r.Method, "http://" + r.URL, r.Header, r.Body, r.Remote})
	case scheme != "http" && scheme != "https":
		return nil, fmt.Errorf("the URL %q has the scheme %q; expected http or https", r.URL, scheme)
	default:
		ex.https = scheme == "https"
		at := strings.IndexAny(rest, "/?#")
		if at < 0 {
			at = len(rest)
		}
		ex.host, ex.target = rest[:at], rest[at:]
		if !strings.HasPrefix(ex.target, "/") {
			ex.target = "/" + ex.target
		}
	}
	ex.target, _, _ = strings.Cut(ex.target, "#")
	if strings.ContainsAny(ex.target, " \t\r\n\x00") {
		return nil, fmt.Errorf("the URL %q has a space or a control character in it; write it as %s", r.URL, (&url.URL{Path: ex.target}).EscapedPath())
	}
	for _, f := range r.Header {
		if strings.EqualFold(f.Name, "Host") {
			ex.host = f.Value
		}
	}
	if ex.host == "" {
		return nil, fmt.Errorf("the URL %q has no host; expected http://example.net%s", r.URL, ex.target)
	}
	if ex.Request.Method == "" {
		ex.Request.Method = "GET"
		if len(r.Body) > 0 {
			ex.Request.Method = "POST"
		}
	}
	return ex, nil
}

// Context implements [runtime.Exchange], as all that follow.
func (e *exchange) Context() context.Context { return e.ctx }
func (e *exchange) Method() string           { return e.Request.Method }
func (e *exchange) Target() string           { return e.target }
func (e *exchange) Proto() string            { return "HTTP/1.1" }
func (e *exchange) Host() string             { return e.host }
func (e *exchange) ContentLength() int64     { return int64(len(e.Request.Body)) }
func (e *exchange) CanUpgrade() bool         { return false }

func (e *exchange) Body() io.Reader { return bytes.NewReader(e.Request.Body) }

func (e *exchange) Connection() runtime.Connection {
	con := runtime.Connection{Local: netip.MustParseAddrPort("127.0.0.1:80"), Remote: e.Remote}
	if !con.Remote.IsValid() {
		con.Remote = netip.MustParseAddrPort("127.0.0.1:40000")
	}
	if e.https {
		con.Local = netip.MustParseAddrPort("127.0.0.1:443")
		con.TLS = &tls.ConnectionState{HandshakeComplete: true, ServerName: e.host}
	}
	return con
}

func (e *exchange) EachHeader(f func(name, value string)) {
	has := func(name string) bool {
		for _, field := range e.Header {
			if strings.EqualFold(field.Name, name) {
				return true
			}
		}
		return false
	}
	if !has("Host") {
		f("Host", e.host)
	}
	for _, field := range e.Header {
		f(field.Name, field.Value)
	}
	if len(e.Request.Body) > 0 && !has("Content-Length") {
		f("Content-Length", strconv.Itoa(len(e.Request.Body)))
	}
}
