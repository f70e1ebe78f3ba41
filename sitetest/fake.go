package sitetest

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"

	lua "github.com/yuin/gopher-lua"
)

// fakes are the backends of one test. They are spoken to over connections in memory, in the
// protocol of the action that asks, so that what a real backend would get is what they get.
type fakes struct {
	mu      sync.Mutex
	answers map[string]lua.LValue
	conns   []net.Conn
	failed  error // what is wrong with an answer, told by the request that met it
	test    *oneTest
}

func (f *fakes) set(t *oneTest, address string, answer lua.LValue) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.answers == nil {
		f.answers = map[string]lua.LValue{}
	}
	f.test, f.answers[address] = t, answer
}

// err returns what went wrong since it was asked last.
func (f *fakes) err() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	err := f.failed
	f.failed = nil
	return err
}

func (f *fakes) close() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, c := range f.conns {
		c.Close()
	}
	f.conns = nil
}

// connect is the dialer of the site.
func (f *fakes) connect(_ context.Context, network, address string) (net.Conn, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.answers[address] == nil {
		if network == "unix" {
			address = "unix:" + address
		}
		return nil, fmt.Errorf("%w: the test has no t:backend(%q, …)", syscall.ECONNREFUSED, address)
	}
	ours, theirs := net.Pipe()
	f.conns = append(f.conns, theirs)
	go func() {
		defer theirs.Close()
		if err := f.serve(theirs, address); err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrClosedPipe) {
			f.fail(fmt.Errorf("the backend %s: %w", address, err))
		}
	}()
	return ours, nil
}

func (f *fakes) fail(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.failed == nil {
		f.failed = err
	}
}

// call is a request as a backend sees it.
type call struct {
	method, target string
	header         [][2]string
	env            [][2]string // of FastCGI and SCGI
	body           []byte
}

// answer is what a backend says.
type answer struct {
	status int
	header [][2]string
	body   string
}

// serve answers the requests of one connection, in the protocol that its first byte tells.
func (f *fakes) serve(c net.Conn, address string) error {
	r := bufio.NewReader(c)
	first, err := r.Peek(1)
	if err != nil {
		return err
	}
	answer := func(q *call) (*answer, error) { return f.ask(address, q) }
	switch {
	case first[0] == 1:
		return serveFastCGI(c, r, answer)
	case first[0] >= '0' && first[0] <= '9':
		return serveSCGI(c, r, answer)
	}
	return serveHTTP(c, r, answer)
}

func serveHTTP(c net.Conn, r *bufio.Reader, ask func(*call) (*answer, error)) error {
	for {
		req, err := http.ReadRequest(r)
		if err != nil {
			return io.EOF // the connection is not used any more
		}
		body, err := io.ReadAll(req.Body)
		if err != nil {
			return err
		}
		q := &call{method: req.Method, target: req.RequestURI, body: body, header: [][2]string{{"Host", req.Host}}}
		for name, values := range req.Header {
			for _, v := range values {
				q.header = append(q.header, [2]string{name, v})
			}
		}
		a, err := ask(q)
		if err != nil {
			return err
		}
		head := fmt.Sprintf("HTTP/1.1 %d %s\r\n", a.status, http.StatusText(a.status)) + fields(a.header)
		if !has(a.header, "Content-Length") && !has(a.header, "Transfer-Encoding") && a.status != http.StatusNoContent && a.status != http.StatusNotModified {
			head += fmt.Sprintf("Content-Length: %d\r\n", len(a.body))
		}
		if req.Method == http.MethodHead {
			a.body = ""
		}
		if _, err := io.WriteString(c, head+"\r\n"+a.body); err != nil {
			return err
		}
	}
}

// serveSCGI answers one request: a connection has no more.
func serveSCGI(c net.Conn, r *bufio.Reader, ask func(*call) (*answer, error)) error {
	length, err := r.ReadString(':')
	if err != nil {
		return err
	}
	n, err := strconv.Atoi(strings.TrimSuffix(length, ":"))
	if err != nil || n > maxParams {
		return fmt.Errorf("no SCGI: it begins with %q", length)
	}
	head := make([]byte, n+1) // and a comma
	if _, err := io.ReadFull(r, head); err != nil {
		return err
	}
	parts := strings.Split(string(head[:n]), "\x00")
	var env [][2]string
	for i := 0; i+1 < len(parts); i += 2 {
		env = append(env, [2]string{parts[i], parts[i+1]})
	}
	q := cgiCall(env, nil)
	size, _ := strconv.Atoi(value(env, "CONTENT_LENGTH"))
	q.body = make([]byte, min(max(size, 0), maxBody))
	if _, err := io.ReadFull(r, q.body); err != nil {
		return err
	}
	a, err := ask(q)
	if err != nil {
		return err
	}
	_, err = io.WriteString(c, cgiText(a))
	return err
}

// cgiCall makes a request of CGI variables (RFC 3875, 4.1).
func cgiCall(env [][2]string, body []byte) *call {
	q := &call{method: value(env, "REQUEST_METHOD"), target: value(env, "REQUEST_URI"), env: env, body: body}
	for _, e := range env {
		if name, ok := strings.CutPrefix(e[0], "HTTP_"); ok {
			q.header = append(q.header, [2]string{strings.ReplaceAll(name, "_", "-"), e[1]})
		}
	}
	if t := value(env, "CONTENT_TYPE"); t != "" {
		q.header = append(q.header, [2]string{"Content-Type", t})
	}
	return q
}

// cgiText is an answer as CGI programs write it (RFC 3875, 6).
func cgiText(a *answer) string {
	head := fmt.Sprintf("Status: %d %s\r\n", a.status, http.StatusText(a.status)) + fields(a.header)
	if !has(a.header, "Content-Length") {
		head += fmt.Sprintf("Content-Length: %d\r\n", len(a.body))
	}
	return head + "\r\n" + a.body
}

func fields(header [][2]string) string {
	var out strings.Builder
	for _, f := range header {
		fmt.Fprintf(&out, "%s: %s\r\n", f[0], f[1])
	}
	return out.String()
}

func has(list [][2]string, name string) bool {
	return slices.ContainsFunc(list, func(f [2]string) bool { return strings.EqualFold(f[0], name) })
}

func value(list [][2]string, name string) string {
	for _, f := range list {
		if f[0] == name {
			return f[1]
		}
	}
	return ""
}

// ask has the test answer a request.
func (f *fakes) ask(address string, q *call) (*answer, error) {
	f.mu.Lock()
	given, t := f.answers[address], f.test
	f.mu.Unlock()
	t.lua.Lock()
	defer t.lua.Unlock()
	if fn, ok := given.(*lua.LFunction); ok {
		L, _ := t.L.NewThread()
		if err := L.CallByParam(lua.P{Fn: fn, NRet: 1, Protect: true}, t.requestTable(q)); err != nil {
			return nil, errors.New(firstOf(err))
		}
		given = L.Get(-1)
	}
	return readAnswer(given)
}

func (t *oneTest) requestTable(q *call) *lua.LTable {
	L := t.L
	out, headers, env := L.NewTable(), L.NewTable(), L.NewTable()
	for _, h := range q.header {
		headers.RawSetString(strings.ToLower(h[0]), lua.LString(h[1]))
	}
	for _, e := range q.env {
		env.RawSetString(e[0], lua.LString(e[1]))
	}
	L.SetMetatable(headers, t.answers)
	out.RawSetString("method", lua.LString(q.method))
	out.RawSetString("target", lua.LString(q.target))
	out.RawSetString("headers", headers)
	out.RawSetString("env", env)
	out.RawSetString("body", lua.LString(q.body))
	return out
}

// readAnswer reads what a test says for a backend.
func readAnswer(v lua.LValue) (*answer, error) {
	a := &answer{status: http.StatusOK}
	switch v := v.(type) {
	case lua.LString:
		a.body = string(v)
	case *lua.LTable:
		if n, ok := v.RawGetString("status").(lua.LNumber); ok {
			a.status = int(n)
		}
		a.body = lua.LVAsString(v.RawGetString("body"))
		if headers, ok := v.RawGetString("headers").(*lua.LTable); ok {
			headers.ForEach(func(name, value lua.LValue) {
				if list, ok := value.(*lua.LTable); ok {
					list.ForEach(func(_, item lua.LValue) {
						a.header = append(a.header, [2]string{lua.LVAsString(name), lua.LVAsString(item)})
					})
					return
				}
				a.header = append(a.header, [2]string{lua.LVAsString(name), lua.LVAsString(value)})
			})
		}
	default:
		return nil, fmt.Errorf("expected a text or a table as the answer, got a %s", v.Type())
	}
	if !has(a.header, "Content-Type") && a.body != "" {
		a.header = append(a.header, [2]string{"Content-Type", "text/plain"})
	}
	slices.SortStableFunc(a.header, func(x, y [2]string) int { return strings.Compare(x[0], y[0]) })
	return a, nil
}
