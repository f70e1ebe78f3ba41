package backend

import (
	"bufio"
	"cmp"
	"encoding/hex"
	"io"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"
)

// chunkPause separates the writes of chunks=N.
const chunkPause = 20 * time.Millisecond

// conn is a connection with what reading and sleeping need.
type conn struct {
	net.Conn
	r    *bufio.Reader
	done <-chan struct{}
}

func newConn(c net.Conn, done <-chan struct{}) *conn {
	return &conn{Conn: c, r: bufio.NewReader(c), done: done}
}

// readN reads exactly n bytes.
func (c *conn) readN(n int) ([]byte, error) {
	if n < 0 {
		return nil, errClose
	}
	buf := make([]byte, n)
	_, err := io.ReadFull(c.r, buf)
	return buf, err
}

// copyN copies exactly n bytes to sink as they come.
func (c *conn) copyN(sink io.Writer, n int) error {
	if n < 0 {
		return errClose
	}
	_, err := io.CopyN(sink, c.r, int64(n))
	return err
}

// send writes s in one call, so that what belongs together arrives together.
func (c *conn) send(s string) error {
	if s == "" {
		return nil
	}
	_, err := io.WriteString(c.Conn, s)
	return err
}

// param is one CGI variable or, for HTTP, one request header.
type param struct{ key, value string }

// lookup returns the last value of key: a later param overrides an earlier one.
func lookup(params []param, key string) (string, bool) {
	for i := len(params) - 1; i >= 0; i-- {
		if params[i].key == key {
			return params[i].value, true
		}
	}
	return "", false
}

// plan is what to answer.
type plan struct {
	status           string
	headers          []string // "Name: value"
	body             string
	delay, bodyDelay time.Duration
	chunks, trunc    int
	stderr, raw      *string // nil: not asked for
	exit, halfHeader bool
	te, http10       bool
}

// newPlan reads the query string in params. An error means that it makes no sense.
func newPlan(params []param, stdin string) (*plan, error) {
	qs, _ := lookup(params, "QUERY_STRING")
	query := parseQuery(qs)
	one := map[string]string{}
	for _, q := range query {
		if _, ok := one[q.key]; !ok {
			one[q.key] = q.value
		}
	}
	has := func(key string) bool { _, ok := one[key]; return ok }
	optional := func(key string) *string {
		if v, ok := one[key]; ok {
			return &v
		}
		return nil
	}
	p := &plan{
		status: one["status"],
		stderr: optional("stderr"), raw: optional("raw"),
		exit: has("exit"), halfHeader: has("halfhdr"), te: has("te"), http10: has("http10"),
	}
	var err error
	if p.delay, err = seconds(one["delay"]); err != nil {
		return nil, err
	}
	if p.bodyDelay, err = seconds(one["bodydelay"]); err != nil {
		return nil, err
	}
	if p.chunks, err = number(one["chunks"], 1); err != nil {
		return nil, err
	}
	if p.trunc, err = number(one["trunc"], 0); err != nil {
		return nil, err
	}

	ct := "text/plain"
	if has("ct") {
		ct = one["ct"]
	}
	if ct != "" {
		p.headers = append(p.headers, "Content-Type: "+ct)
	}
	for _, q := range query {
		if q.key == "h" {
			p.headers = append(p.headers, q.value)
		}
	}
	if has("xsendfile") {
		p.headers = append(p.headers, "X-Sendfile: "+one["xsendfile"])
	}
	if has("location") {
		p.headers = append(p.headers, "Location: "+one["location"])
	}

	switch {
	case has("body"):
		p.body = one["body"]
	case has("size"):
		n, err := strconv.Atoi(one["size"])
		if err != nil {
			return nil, err
		}
		p.body = strings.Repeat("x", max(0, n))
	case has("stdin"):
		p.body = stdin
	case has("stdinlen"):
		p.body = strconv.Itoa(len(stdin))
	case has("xsendfile"):
		p.body = "backend body"
	case has("names"):
		for _, x := range params {
			p.body += x.key + "\n"
		}
	default:
		p.body = echo(params, one, stdin)
	}
	if has("cl") || p.trunc != 0 {
		p.headers = append(p.headers, "Content-Length: "+strconv.Itoa(len(p.body)+p.trunc))
	}
	return p, nil
}

// echo lists the params: those in only=, or all of them and the request body.
func echo(params []param, one map[string]string, stdin string) string {
	var items []param
	only, restricted := one["only"]
	if restricted {
		for _, key := range strings.Split(only, ",") {
			if key == "" {
				continue
			}
			value, ok := lookup(params, key)
			if !ok {
				value = "<unset>"
			}
			items = append(items, param{key, value})
		}
	} else {
		items = slices.SortedFunc(slices.Values(params), func(a, b param) int {
			return cmp.Or(cmp.Compare(a.key, b.key), cmp.Compare(a.value, b.value))
		})
	}
	var out strings.Builder
	for _, x := range items {
		if x.key == "REMOTE_PORT" && isDigits(x.value) {
			x.value = "<port>" // differs from run to run
		}
		out.WriteString(x.key + "=" + x.value + "\n")
	}
	if !restricted {
		out.WriteString("--stdin--\n" + stdin)
	}
	return out.String()
}

// cgiHead is the head of a CGI answer.
func (p *plan) cgiHead() string {
	h := p.headers
	if p.status != "" {
		h = append([]string{"Status: " + p.status}, h...)
	}
	return strings.Join(h, "\r\n") + "\r\n\r\n"
}

// pieces are the parts in which the body is written.
func (p *plan) pieces() []string {
	if p.body == "" {
		return nil
	}
	if p.chunks <= 1 {
		return []string{p.body}
	}
	n := (len(p.body) + p.chunks - 1) / p.chunks
	var out []string
	for i := 0; i < len(p.body); i += n {
		out = append(out, p.body[i:min(i+n, len(p.body))])
	}
	return out
}

// sendSlowly writes head and pieces one by one, with the pauses of the plan; wrap frames a piece.
func (c *conn) sendSlowly(p *plan, head string, pieces []string, wrap func(string) string) error {
	if err := c.send(head); err != nil {
		return err
	}
	if err := c.sleep(p.bodyDelay); err != nil {
		return err
	}
	for _, x := range pieces {
		if err := c.send(wrap(x)); err != nil {
			return err
		}
		if len(pieces) > 1 {
			if err := c.sleep(chunkPause); err != nil {
				return err
			}
		}
	}
	return nil
}

// parseQuery splits first and decodes then; "+" stays as it is.
func parseQuery(qs string) []param {
	var out []param
	for _, part := range strings.Split(qs, "&") {
		if part == "" {
			continue
		}
		k, v, _ := strings.Cut(part, "=")
		out = append(out, param{unquote(k), unquote(v)})
	}
	return out
}

// unquote decodes %XX; a "%" without two hex digits behind it stays.
func unquote(s string) string {
	var out []byte
	for i := 0; i < len(s); i++ {
		if s[i] == '%' && i+3 <= len(s) {
			if x, err := hex.DecodeString(s[i+1 : i+3]); err == nil {
				out = append(out, x[0])
				i += 2
				continue
			}
		}
		out = append(out, s[i])
	}
	return string(out)
}

func seconds(s string) (time.Duration, error) {
	if s == "" {
		return 0, nil
	}
	f, err := strconv.ParseFloat(s, 64)
	return time.Duration(f * float64(time.Second)), err
}

func number(s string, empty int) (int, error) {
	if s == "" {
		return empty, nil
	}
	return strconv.Atoi(s)
}

func isDigits(s string) bool {
	return s != "" && strings.Trim(s, "0123456789") == ""
}
