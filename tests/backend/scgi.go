package backend

import (
	"io"
	"strconv"
	"strings"
)

// serveSCGI answers the one request of an SCGI connection.
func serveSCGI(c *conn) error {
	var body strings.Builder
	params, err := c.readSCGI(&body)
	if err != nil {
		return err
	}
	p, err := newPlan(params, body.String())
	if err != nil {
		return err
	}
	return c.sendCGI(p)
}

// readSCGI reads a request and returns its headers; the body goes to sink.
func (c *conn) readSCGI(sink io.Writer) ([]param, error) {
	length, err := c.r.ReadString(':')
	if err != nil {
		return nil, err
	}
	n, err := strconv.Atoi(strings.TrimSuffix(length, ":"))
	if err != nil {
		return nil, err
	}
	head, err := c.readN(n)
	if err != nil {
		return nil, err
	}
	if _, err := c.readN(1); err != nil { // the "," behind the netstring
		return nil, err
	}
	fields := strings.Split(string(head), "\x00")
	fields = fields[:len(fields)-1] // each field ends with a NUL
	var params []param
	for i := 0; i+1 < len(fields); i += 2 {
		params = append(params, param{fields[i], fields[i+1]})
	}
	size, _ := lookup(params, "CONTENT_LENGTH")
	bodyLen, err := number(size, 0)
	if err != nil {
		return nil, err
	}
	return params, c.copyN(sink, bodyLen)
}

// sendCGI sends CGI output that ends with the connection.
func (c *conn) sendCGI(p *plan) error {
	if err := c.sleep(p.delay); err != nil {
		return err
	}
	if p.exit {
		return errClose
	}
	if p.halfHeader {
		return c.send("Content-Ty")
	}
	if p.raw != nil {
		return c.send(*p.raw)
	}
	pieces := p.pieces()
	if p.bodyDelay == 0 && len(pieces) <= 1 {
		return c.send(p.cgiHead() + strings.Join(pieces, ""))
	}
	return c.sendSlowly(p, p.cgiHead(), pieces, func(s string) string { return s })
}
