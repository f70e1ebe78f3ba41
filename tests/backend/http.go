package backend

import (
	"bytes"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// httpRequest is a request as it came: params holds the headers in their order and case, led by
// :method, :target and :version and followed by QUERY_STRING.
type httpRequest struct {
	method, version string
	params          []param
	lower           map[string]string // headers by lower-case name
}

// serveHTTP answers requests until one of the two sides closes.
func serveHTTP(c *conn) error {
	for {
		var body strings.Builder
		r, err := c.readHTTP(&body)
		if err != nil {
			return err
		}
		p, err := newPlan(r.params, body.String())
		if err != nil {
			return err
		}
		if err := c.sendHTTP(p, r); err != nil {
			return err
		}
		if p.trunc != 0 || p.http10 || r.version == "HTTP/1.0" || strings.EqualFold(r.lower["connection"], "close") {
			return nil
		}
	}
}

// readHTTP reads a request; the body goes to sink.
func (c *conn) readHTTP(sink io.Writer) (*httpRequest, error) {
	head, err := c.readUntil("\r\n\r\n")
	if err != nil {
		return nil, err
	}
	lines := strings.Split(head, "\r\n")
	first := strings.SplitN(lines[0], " ", 3)
	if len(first) < 3 {
		return nil, errClose
	}
	target := first[1]
	r := &httpRequest{method: first[0], version: first[2], lower: map[string]string{}}
	r.params = []param{{":method", r.method}, {":target", target}, {":version", r.version}}
	for _, line := range lines[1:] {
		k, v, _ := strings.Cut(line, ":")
		k, v = strings.TrimSpace(k), strings.TrimSpace(v)
		r.params = append(r.params, param{k, v})
		r.lower[strings.ToLower(k)] = v
	}
	_, qs, _ := strings.Cut(target, "?")
	r.params = append(r.params, param{"QUERY_STRING", qs})

	if strings.EqualFold(r.lower["transfer-encoding"], "chunked") {
		return r, c.readChunked(sink)
	}
	n, err := number(r.lower["content-length"], 0)
	if err != nil {
		return nil, err
	}
	return r, c.copyN(sink, n)
}

// readUntil returns what stands before the next mark and skips the mark.
func (c *conn) readUntil(mark string) (string, error) {
	var buf []byte
	for !bytes.HasSuffix(buf, []byte(mark)) {
		b, err := c.r.ReadByte()
		if err != nil {
			return "", err
		}
		buf = append(buf, b)
	}
	return string(buf[:len(buf)-len(mark)]), nil
}

func (c *conn) readChunked(sink io.Writer) error {
	for {
		line, err := c.readUntil("\r\n")
		if err != nil {
			return err
		}
		size, _, _ := strings.Cut(line, ";")
		n, err := strconv.ParseInt(strings.TrimSpace(size), 16, 32)
		if err != nil {
			return errClose
		}
		if err := c.copyN(sink, int(n)); err != nil {
			return err
		}
		if _, err := c.readN(2); err != nil || n == 0 { // the CRLF behind it
			return err
		}
	}
}

// sendHTTP sends what the plan says; errClose where the plan ends the connection.
func (c *conn) sendHTTP(p *plan, r *httpRequest) error {
	if err := c.sleep(p.delay); err != nil {
		return err
	}
	if p.exit {
		return errClose
	}
	raw := p.raw
	if p.halfHeader {
		half := "HTTP/1.1 200 OK\r\nContent-Ty"
		raw = &half
	}
	if raw != nil {
		if err := c.send(*raw); err != nil {
			return err
		}
		return errClose
	}

	status := p.status
	if status == "" {
		status = "200 OK"
	}
	if !strings.Contains(status, " ") {
		status += " X"
	}
	version := "HTTP/1.1 "
	if p.http10 {
		version = "HTTP/1.0 "
	}
	bodiless := strings.HasPrefix(status, "204") || strings.HasPrefix(status, "304")
	headers := p.headers
	if p.te {
		headers = append(headers, "Transfer-Encoding: chunked")
	} else if !p.http10 && !bodiless && !hasLength(headers) {
		headers = append(headers, "Content-Length: "+strconv.Itoa(len(p.body)))
	}
	head := version + status + "\r\n" + strings.Join(headers, "\r\n") + "\r\n\r\n"
	if bodiless || r.method == "HEAD" {
		return c.send(head)
	}

	wrap, end := func(s string) string { return s }, ""
	if p.te {
		wrap = func(s string) string { return fmt.Sprintf("%x\r\n%s\r\n", len(s), s) }
		end = "0\r\n\r\n"
	}
	pieces := p.pieces()
	if p.bodyDelay == 0 && len(pieces) <= 1 {
		if len(pieces) == 1 {
			end = wrap(pieces[0]) + end
		}
		return c.send(head + end)
	}
	if err := c.sendSlowly(p, head, pieces, wrap); err != nil {
		return err
	}
	return c.send(end)
}

func hasLength(headers []string) bool {
	for _, h := range headers {
		if name, _, _ := strings.Cut(h, ":"); strings.EqualFold(name, "Content-Length") {
			return true
		}
	}
	return false
}
