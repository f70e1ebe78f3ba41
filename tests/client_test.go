package tests

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"time"
)

// limit is how long the client waits for the next bytes; more is a hang.
const limit = 30 * time.Second

// errTimeout says that nothing came within the limit.
var errTimeout = errors.New("timeout")

// answer is one response as the client saw it. status is 0 where there was none.
type answer struct {
	version, reason string
	status          int
	headers         []field
	interim         []int // statuses of the 100 Continue responses before it
	body            []byte

	noResponse bool   // closed without a byte
	partial    string // closed within the head: what there is of it
	timeout    bool
	truncated  bool
	malformed  string // why the response cannot be understood
	closed     *bool  // whether the server closed the connection behind it, where that was looked at
}

// values are the values of the headers called name.
func (a *answer) values(name string) []string {
	var out []string
	for _, f := range a.headers {
		if strings.EqualFold(f.name, name) {
			out = append(out, f.value)
		}
	}
	return out
}

// last is the last of these values, "" if there is none.
func (a *answer) last(name string) string {
	if v := a.values(name); len(v) > 0 {
		return v[len(v)-1]
	}
	return ""
}

// client reads raw bytes: net/http would hide what is compared here.
type client struct {
	conn net.Conn
	buf  []byte // read and not consumed
	eof  bool
}

func dial(port int) (*client, error) {
	c, err := net.DialTimeout("tcp", "127.0.0.1:"+strconv.Itoa(port), limit)
	if err != nil {
		return nil, err
	}
	return &client{conn: c}, nil
}

// send writes; an error shows in the answer, or is none: a server may answer and close early.
func (c *client) send(b []byte) {
	_ = c.conn.SetWriteDeadline(time.Now().Add(limit))
	_, _ = c.conn.Write(b)
}

// more reads once into buf. It returns io.EOF at the end, also for a reset, and errTimeout.
func (c *client) more(wait time.Duration) error {
	if c.eof {
		return io.EOF
	}
	_ = c.conn.SetReadDeadline(time.Now().Add(wait))
	chunk := make([]byte, 65536)
	n, err := c.conn.Read(chunk)
	c.buf = append(c.buf, chunk[:n]...)
	switch {
	case n > 0:
		return nil
	case errors.Is(err, os.ErrDeadlineExceeded):
		return errTimeout
	}
	c.eof = true
	return io.EOF
}

// until reads until buf holds mark, and cuts off what stands before it.
func (c *client) until(mark string) (string, error) {
	for {
		if before, after, ok := bytes.Cut(c.buf, []byte(mark)); ok {
			c.buf = after
			return string(before), nil
		}
		if err := c.more(limit); err != nil {
			return "", err
		}
	}
}

// take reads until buf holds n bytes and cuts them off; fewer with an error.
func (c *client) take(n int) ([]byte, error) {
	var err error
	for len(c.buf) < n && err == nil {
		err = c.more(limit)
	}
	n = min(n, len(c.buf))
	out := c.buf[:n:n]
	c.buf = c.buf[n:]
	return out, err
}

// readAnswer reads one response to a request of the given method.
func (c *client) readAnswer(method string) *answer {
	a := &answer{}
	for {
		head, err := c.until("\r\n\r\n")
		if err != nil {
			a.timeout = err == errTimeout
			a.partial = latin1ToText(c.buf)
			a.noResponse = !a.timeout && a.partial == ""
			return a
		}
		if err := a.parseHead(head); err != nil {
			a.malformed = err.Error()
			return a
		}
		if a.status != 100 {
			break
		}
		*a = answer{interim: append(a.interim, a.status)}
	}
	if method == "HEAD" || a.status == 204 || a.status == 205 || a.status == 304 || a.status < 200 {
		return a
	}
	var err error
	a.body, err = c.readBody(a)
	switch {
	case err == errTimeout:
		a.timeout = true
	case err == io.EOF:
		a.truncated = true
	case err != nil:
		a.malformed = err.Error()
	}
	return a
}

func (a *answer) parseHead(head string) error {
	lines := strings.Split(latin1ToText([]byte(head)), "\r\n")
	first := strings.SplitN(lines[0], " ", 3)
	if len(first) < 2 {
		return fmt.Errorf("status line %q", lines[0])
	}
	a.version = first[0]
	if len(first) > 2 {
		a.reason = first[2]
	}
	var err error
	if a.status, err = strconv.Atoi(first[1]); err != nil {
		return fmt.Errorf("status line %q", lines[0])
	}
	for _, line := range lines[1:] {
		name, value, _ := strings.Cut(line, ":")
		a.headers = append(a.headers, field{name, strings.Trim(value, " \t")})
	}
	return nil
}

// readBody reads a body by the framing that the head announces. With io.EOF or errTimeout it
// returns what came.
func (c *client) readBody(a *answer) ([]byte, error) {
	if strings.EqualFold(a.last("Transfer-Encoding"), "chunked") {
		return c.readChunks()
	}
	if length := a.last("Content-Length"); length != "" {
		n, err := strconv.Atoi(length)
		if err != nil || n < 0 {
			return nil, fmt.Errorf("Content-Length %q", length)
		}
		return c.take(n)
	}
	for {
		if err := c.more(limit); err != nil {
			body := c.buf
			c.buf = nil
			if err == io.EOF { // the end of the connection is the end of the body
				err = nil
			}
			return body, err
		}
	}
}

func (c *client) readChunks() ([]byte, error) {
	var body []byte
	for {
		line, err := c.until("\r\n")
		if err != nil {
			return append(body, c.buf...), err
		}
		size, _, _ := strings.Cut(line, ";")
		n, err := strconv.ParseInt(size, 16, 32)
		if err != nil || n < 0 {
			return body, fmt.Errorf("chunk size %q", line)
		}
		data, err := c.take(int(n) + 2) // with the CRLF behind it
		if err != nil {
			return append(body, data...), err
		}
		body = append(body, data[:n]...)
		if n == 0 {
			return body, nil
		}
	}
}

// closedByServer waits for the end of the connection.
func (c *client) closedByServer() bool {
	return c.more(limit) == io.EOF
}

// exchange makes one request of a case, on a connection of its own.
func (s *site) exchange(rq *request) []*answer {
	c, err := dial(s.port)
	if err != nil {
		return []*answer{{noResponse: true}}
	}
	defer c.conn.Close()

	var out []*answer
	if rq.Seq != nil {
		for _, text := range rq.Seq {
			text = s.expand(text)
			c.send(textToBytes(text))
			a := c.readAnswer(methodOf(text))
			out = append(out, a)
			if a.noResponse || a.timeout {
				break
			}
		}
	} else {
		method := s.sendRequest(c, rq)
		if rq.Shutdown {
			_ = c.conn.(*net.TCPConn).CloseWrite()
		}
		for i := range max(1, rq.N) {
			if i < len(rq.Methods) {
				method = rq.Methods[i]
			}
			out = append(out, c.readAnswer(method))
		}
	}
	if rq.CheckClose {
		closed := c.closedByServer()
		out[len(out)-1].closed = &closed
	}
	return out
}

// sendRequest sends rq and returns its method.
func (s *site) sendRequest(c *client, rq *request) (method string) {
	if rq.Parts != nil {
		for i, part := range rq.Parts {
			if i > 0 {
				time.Sleep(50 * time.Millisecond)
			}
			c.send(textToBytes(s.expand(part)))
		}
		return methodOf(s.expand(rq.Parts[0]))
	}
	if rq.Raw != nil {
		raw := s.expand(*rq.Raw)
		if rq.Pad > 0 {
			raw = strings.ReplaceAll(raw, "@PAD@", strings.Repeat("a", rq.Pad))
		}
		c.send(textToBytes(raw))
		return methodOf(strings.TrimLeft(raw, "\r\n"))
	}
	method = rq.Method
	if method == "" {
		method = "GET"
	}
	given := map[string]bool{}
	for _, f := range rq.Headers {
		given[strings.ToLower(f.name)] = true
	}
	head := method + " " + s.expand(rq.Target) + " HTTP/1.1\r\n"
	if !given["host"] {
		head += "Host: localhost\r\n"
	}
	for _, f := range rq.Headers {
		head += f.name + ": " + s.expand(f.value) + "\r\n"
	}
	var body []byte
	if rq.Body != nil {
		body = textToBytes(s.expand(*rq.Body))
		if !given["content-length"] && !given["transfer-encoding"] {
			head += fmt.Sprintf("Content-Length: %d\r\n", len(body))
		}
	}
	c.send(append(textToBytes(head+"\r\n"), body...))
	return method
}

func methodOf(raw string) string {
	method, _, _ := strings.Cut(raw, " ")
	return method
}

// textToBytes encodes the text of a case: characters below U+0100 stand for bytes, unless the text
// has others too; then it is UTF-8.
func textToBytes(text string) []byte {
	out := make([]byte, 0, len(text))
	for _, r := range text {
		if r > 0xff {
			return []byte(text)
		}
		out = append(out, byte(r))
	}
	return out
}

// latin1ToText is the reverse: each byte is a character.
func latin1ToText(b []byte) string {
	runes := make([]rune, len(b))
	for i, x := range b {
		runes[i] = rune(x)
	}
	return string(runes)
}
