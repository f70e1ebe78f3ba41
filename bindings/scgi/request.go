package scgi

import (
	"fmt"
	"io"
	"strconv"
	"strings"

	"luaserve/bindings/fcgi"
)

// Request is one request to an application. [Client.Do] does not change it, and must be the
// only one to use Body until it returns.
type Request struct {
	// Params are the meta-variables of CGI, in the order in which they are sent. A
	// REQUEST_METHOD among them decides whether the response has a body. CONTENT_LENGTH and
	// SCGI are left out: the client sends its own.
	Params []fcgi.Param
	// Body is the request body. It is not used when Length is 0.
	Body io.Reader
	// Length is the number of bytes to take from Body; fewer are an error.
	Length int64
}

// method returns REQUEST_METHOD, "" when there is none.
func (r *Request) method() string {
	for i := range r.Params {
		if r.Params[i].Name == "REQUEST_METHOD" {
			return r.Params[i].Value
		}
	}
	return ""
}

// appendHead appends the variables as a netstring: CONTENT_LENGTH first, as the specification
// wants it, and SCGI last, as lighttpd2 has it.
func (r *Request) appendHead(dst []byte) ([]byte, error) {
	length := strconv.FormatInt(r.Length, 10)
	size := pairLen("CONTENT_LENGTH", length) + pairLen("SCGI", "1")
	for i := range r.Params {
		p := &r.Params[i]
		if strings.IndexByte(p.Name, 0) >= 0 || strings.IndexByte(p.Value, 0) >= 0 {
			return nil, fmt.Errorf("the variable %q has a NUL in it", p.Name)
		}
		if !isOwn(p.Name) {
			size += pairLen(p.Name, p.Value)
		}
	}
	dst = strconv.AppendInt(dst, int64(size), 10)
	dst = append(dst, ':')
	dst = appendPair(dst, "CONTENT_LENGTH", length)
	for i := range r.Params {
		if p := &r.Params[i]; !isOwn(p.Name) {
			dst = appendPair(dst, p.Name, p.Value)
		}
	}
	dst = appendPair(dst, "SCGI", "1")
	return append(dst, ','), nil
}

// isOwn reports whether the client sends a variable of this name itself: a name must not come
// twice.
func isOwn(name string) bool { return name == "CONTENT_LENGTH" || name == "SCGI" }

func pairLen(name, value string) int { return len(name) + len(value) + 2 }

func appendPair(dst []byte, name, value string) []byte {
	dst = append(dst, name...)
	dst = append(dst, 0)
	dst = append(dst, value...)
	return append(dst, 0)
}
