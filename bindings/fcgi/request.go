package fcgi

import (
	"context"
	"errors"
	"io"
	"net/http"
	"slices"
	"sort"
	"strconv"

	"github.com/yookoala/gofast"

	"luaserve/bindings/upstream"
)

// Param is a name and a value that the application gets in its environment: the CGI/1.1
// meta-variables of RFC 3875 section 4.1 and whatever else the server adds.
type Param struct{ Name, Value string }

// Request is one request to an application. [Client.Do] does not change it, and must be
// the only one to use Stdin until StdinDone is called.
type Request struct {
	// Role is what the application shall be. 0 means gofast.RoleResponder.
	// gofast.RoleFilter is refused, as there is no data stream here.
	Role gofast.Role
	// Params go out in this order. A REQUEST_METHOD among them decides whether the
	// request may be repeated and whether the response has a body; when it is missing,
	// GET is assumed.
	Params []Param
	// Stdin is the request body, nil when it is empty. It is read while the response is
	// read. Reads must end when the caller gives the request up, for instance because it
	// closes what is behind Stdin.
	Stdin io.Reader
	// StdinLength is the number of bytes to take from Stdin; fewer are an error. 0 and
	// less mean: all there are, or what Stdin's Len() int says if it has that method. Up to 32 KiB
	// of a body whose length is known are read before the backend is contacted.
	StdinLength int64
	// StdinDone, if not nil, is called once when Stdin will not be used again: before Do
	// returns, or later from another goroutine, perhaps after the response body was closed.
	StdinDone func()
	// Fresh has the request go over a new connection.
	Fresh bool
	// Loop is what the caller runs in when others share its goroutine, else nil.
	Loop upstream.Loop
}

// FromGofast takes the role, params and body of a gofast request over. The params named in
// order come first, in that order, the rest sorted by name. The length of the body is
// that of the param CONTENT_LENGTH (RFC 3875 section 4.1.2), or not known.
func FromGofast(r *gofast.Request, order []string) *Request {
	req := &Request{Role: r.Role, Params: make([]Param, 0, len(r.Params))}
	for i, name := range order {
		if value, ok := r.Params[name]; ok && !slices.Contains(order[:i], name) {
			req.Params = append(req.Params, Param{name, value})
		}
	}
	named := len(req.Params)
	for name, value := range r.Params {
		if !slices.Contains(order, name) {
			req.Params = append(req.Params, Param{name, value})
		}
	}
	rest := req.Params[named:]
	sort.Slice(rest, func(i, j int) bool { return rest[i].Name < rest[j].Name })

	length, err := strconv.ParseInt(r.Params["CONTENT_LENGTH"], 10, 64)
	if err == nil && length == 0 || r.Stdin == nil || r.Stdin == http.NoBody {
		return req
	}
	req.Stdin = r.Stdin
	if err == nil && length > 0 {
		req.StdinLength = length
	}
	return req
}

// stdinLength returns the length of the request body in bytes, -1 when it is not known.
func (r *Request) stdinLength() int64 {
	if r.Stdin == nil {
		return 0
	}
	if r.StdinLength > 0 {
		return r.StdinLength
	}
	if l, ok := r.Stdin.(interface{ Len() int }); ok {
		return int64(l.Len())
	}
	return -1
}

// method returns REQUEST_METHOD (RFC 3875 section 4.1.12), GET when there is none.
func (r *Request) method() string {
	for i := range r.Params {
		if r.Params[i].Name == "REQUEST_METHOD" {
			return r.Params[i].Value
		}
	}
	return http.MethodGet
}

// idempotent reports whether doing the request twice is as good as once. An authorizer only
// answers a question, whatever the method.
func (r *Request) idempotent(method string) bool {
	return upstream.Idempotent(method) || r.Role == gofast.RoleAuthorizer
}

// check returns why the request cannot be sent.
func (r *Request) check(ctx context.Context, addr string) *Error {
	refuse := func(reason string) *Error {
		return &Error{Proto: proto, Op: "send", Addr: addr, Kind: upstream.BadRequest, Err: errors.New(reason)}
	}
	if ctx.Err() != nil {
		return canceled(ctx, addr, false)
	}
	if r.Role > gofast.RoleAuthorizer {
		return refuse("only the roles responder and authorizer are supported")
	}
	for i := range r.Params {
		if len(r.Params[i].Name) > maxLength || len(r.Params[i].Value) > maxLength {
			return refuse("a param is too long")
		}
	}
	return nil
}
