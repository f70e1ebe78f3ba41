package httpproxy

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"

	"luaserve/bindings/upstream"
)

// Field is one header field.
type Field struct{ Name, Value string }

// Request is one request to an upstream. [Client.Do] does not change it, and must be the only
// one to use Body until it returns.
type Request struct {
	Method string
	Target string // path and query, sent byte for byte
	Host   string // the value of Host, may be empty
	// Header has the other fields in their order. Those that belong to one connection, those
	// that Connection names, Host, Content-Length, Expect and Proxy are left out, and those that
	// another one is written like, with "-" for "_" and other signs.
	Header []Field
	// Own are fields of the gateway, whose names are tokens. They come last and replace those of
	// their names, however "-" is written there.
	Own []Field
	// Body is the request body. It is not used when Length is 0.
	Body io.Reader
	// Length is the number of bytes to take from Body; fewer are an error. -1 means all
	// there are, sent in chunks.
	Length int64
	// Trailers says that fields behind the body of the response are wanted (RFC 9110 section
	// 10.1.4).
	Trailers bool
	// Upgrade is the protocol that the client asks to go over to (RFC 9110 section 7.8), ""
	// for none. Such a request has no body.
	Upgrade string
	// Fresh has the request go over a new connection.
	Fresh bool
	// Loop is what the caller runs in when others share its goroutine, else nil.
	Loop upstream.Loop
}

const (
	// inlineBody is the longest request body, in bytes, that goes out in one write with the
	// head and is kept for a repetition.
	inlineBody = 32 << 10
	// keepBuffer is the largest buffer, in bytes, that is worth keeping.
	keepBuffer = 128 << 10
)

// wire is a request as it goes over the connection.
type wire struct {
	bytes      []byte // the head, and the body when it was loaded
	inline     int    // length of the body to load, -1 when it was
	repeatable bool   // the request may be sent a second time
	stream     bool   // the body is sent behind bytes
}

var wires = sync.Pool{New: func() any { return &wire{bytes: make([]byte, 0, 2<<10)} }}

// newWire makes the head of r; with last, it says that no other request follows it over the
// connection.
func newWire(r *Request, last bool) (w *wire, err error) {
	w = wires.Get().(*wire)
	if w.bytes, err = r.appendHead(w.bytes[:0], last); err != nil {
		w.free()
		return nil, err
	}
	w.stream = r.Length < 0 || r.Length > inlineBody
	w.inline = 0
	if !w.stream {
		w.inline = int(r.Length)
	}
	w.repeatable = !w.stream && upstream.Idempotent(r.Method)
	return w, nil
}

// free gives the buffer back.
func (w *wire) free() {
	if cap(w.bytes) <= keepBuffer {
		wires.Put(w)
	}
}

// load reads a short body, once. It is called when there is a connection, so that the body
// is still untouched when there is none.
func (w *wire) load(r *Request) error {
	if w.inline <= 0 {
		return nil
	}
	n := len(w.bytes)
	w.bytes = append(w.bytes, make([]byte, w.inline)...)
	w.inline = -1
	_, err := io.ReadFull(r.Body, w.bytes[n:])
	return shortBody(err)
}

// shortBody makes the end of a body that came too early an error of its own.
func shortBody(err error) error {
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		return fmt.Errorf("the request body is shorter than its length: %w", io.ErrUnexpectedEOF)
	}
	return err
}

// appendHead appends the request head (RFC 9112 sections 3 and 6), or returns why it cannot
// be sent.
func (r *Request) appendHead(dst []byte, last bool) ([]byte, error) {
	if err := r.checkLine(); err != nil {
		return dst, err
	}
	dst = append(dst, r.Method...)
	dst = append(dst, ' ')
	dst = append(dst, r.Target...)
	dst = append(dst, " HTTP/1.1\r\nHost: "...)
	dst = append(dst, r.Host...)
	dst = append(dst, "\r\n"...)
	dst, err := r.appendFields(dst)
	if err != nil {
		return dst, err
	}
	switch {
	case r.Length < 0:
		dst = append(dst, "Transfer-Encoding: chunked\r\n"...)
	case r.Length > 0 || r.Method != http.MethodGet && r.Method != http.MethodHead:
		dst = append(dst, "Content-Length: "...)
		dst = strconv.AppendInt(dst, r.Length, 10)
		dst = append(dst, "\r\n"...)
	}
	if dst, err = r.appendConnection(dst, last); err != nil {
		return dst, err
	}
	return append(dst, "\r\n"...), nil
}

// appendConnection appends what is said about this connection.
func (r *Request) appendConnection(dst []byte, last bool) ([]byte, error) {
	switch {
	case r.Upgrade != "":
		dst = append(dst, "Connection: Upgrade\r\n"...)
		return appendField(dst, "Upgrade", r.Upgrade)
	case r.Trailers && last:
		dst = append(dst, "TE: trailers\r\nConnection: close, TE\r\n"...)
	case r.Trailers:
		dst = append(dst, "TE: trailers\r\nConnection: TE\r\n"...)
	case last:
		dst = append(dst, "Connection: close\r\n"...)
	}
	return dst, nil
}

// checkLine returns why the first line of the request cannot be sent.
func (r *Request) checkLine() error {
	switch {
	case !upstream.IsToken(r.Method):
		return fmt.Errorf("the method %q is not a token", r.Method)
	case r.Method == http.MethodConnect:
		return errors.New("CONNECT cannot be passed on")
	case r.Target == "" || hasSpaceOrControl(r.Target):
		return fmt.Errorf("the target %q cannot be sent", r.Target)
	case hasSpaceOrControl(r.Host):
		return fmt.Errorf("the host %q cannot be sent", r.Host)
	}
	return nil
}

// appendFields appends the fields that are passed on.
func (r *Request) appendFields(dst []byte) (_ []byte, err error) {
	named := r.namedByConnection()
	for _, f := range r.Header {
		if perConnection(f.Name) || notPassedOn(f.Name) || named.has(f.Name) || r.isReplaced(f.Name) {
			continue
		}
		if dst, err = appendField(dst, f.Name, f.Value); err != nil {
			return dst, err
		}
	}
	for _, f := range r.Own {
		if dst, err = appendOwn(dst, f.Name, f.Value); err != nil {
			return dst, err
		}
	}
	return dst, nil
}

func (r *Request) namedByConnection() (named tokens) {
	for _, f := range r.Header {
		if upstream.IsName(f.Name, "connection") {
			named = named.add(f.Value)
		}
	}
	return named
}

func appendField(dst []byte, name, value string) ([]byte, error) {
	if !upstream.IsToken(name) {
		return dst, fmt.Errorf("the header name %q is not a token", name)
	}
	return appendOwn(dst, name, value)
}

// appendOwn is appendField for a name that is a token.
func appendOwn(dst []byte, name, value string) ([]byte, error) {
	if breaksLine(value) {
		return dst, fmt.Errorf("the header %s has a line break or a NUL in its value", name)
	}
	dst = append(dst, name...)
	dst = append(dst, ": "...)
	dst = append(dst, value...)
	return append(dst, "\r\n"...), nil
}

// breaksLine reports whether a value would end its line, or be cut by somebody on the way.
func breaksLine(value string) bool {
	for i := range len(value) {
		if c := value[i]; c <= '\r' && (c == '\r' || c == '\n' || c == 0) {
			return true
		}
	}
	return false
}

// notPassedOn reports whether a field of the request is the gateway's own business. Proxy
// would become HTTP_PROXY where the upstream runs CGI programs (httpoxy).
func notPassedOn(name string) bool {
	switch len(name) {
	case len("host"):
		return upstream.IsName(name, "host")
	case len("proxy"):
		return upstream.IsName(name, "proxy")
	case len("expect"):
		return upstream.IsName(name, "expect")
	case len("content-length"):
		return upstream.IsName(name, "content-length")
	}
	return false
}

// isReplaced reports whether another field takes the place of one called name: an own field
// of that name, or an own or other one that only differs in having "-" where this one has
// another sign. An upstream that makes variables of fields, as CGI does, cannot tell Remote_User
// from Remote-User, so what a script says with the latter must not come with the former.
func (r *Request) isReplaced(name string) bool {
	plain := dashed(name)
	called := func(f Field) bool { return len(f.Name) == len(plain) && strings.EqualFold(f.Name, plain) }
	return slices.ContainsFunc(r.Own, called) || plain != name && slices.ContainsFunc(r.Header, called)
}

// dashed returns a name with "-" for all that is neither a letter nor a digit.
func dashed(name string) string {
	i := 0
	for i < len(name) && (isAlnum(rune(name[i])) || name[i] == '-') {
		i++
	}
	if i == len(name) { // as nearly all are
		return name
	}
	return strings.Map(func(c rune) rune {
		if isAlnum(c) {
			return c
		}
		return '-'
	}, name)
}

func isAlnum(c rune) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
}
