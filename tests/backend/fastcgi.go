package backend

import (
	"encoding/binary"
	"strings"
)

// FastCGI record types. net/http/fcgi is of no use here: it hands out the params as a map, and the
// tests look at their order.
const (
	fcgiBegin  = 1
	fcgiAbort  = 2
	fcgiEnd    = 3
	fcgiParams = 4
	fcgiStdin  = 5
	fcgiStdout = 6
	fcgiStderr = 7
)

// fcgiRequest is a request of which not all records have come yet.
type fcgiRequest struct {
	params, stdin []byte
	keep          bool // FCGI_KEEP_CONN
}

// serveFCGI reads records and answers each request when its stdin has ended.
func serveFCGI(c *conn) error {
	requests := map[uint16]*fcgiRequest{}
	for {
		head, err := c.readN(8)
		if err != nil {
			return err
		}
		kind, id := head[1], binary.BigEndian.Uint16(head[2:])
		data, err := c.readN(int(binary.BigEndian.Uint16(head[4:])))
		if err != nil {
			return err
		}
		if _, err := c.readN(int(head[6])); err != nil { // padding
			return err
		}
		r := requests[id]
		switch {
		case kind == fcgiBegin:
			if len(data) < 3 {
				return errClose
			}
			requests[id] = &fcgiRequest{keep: data[2]&1 != 0}
		case kind == fcgiAbort:
			delete(requests, id)
			if err := c.send(fcgiEndRecord(id)); err != nil {
				return err
			}
		case kind == fcgiParams && r != nil:
			r.params = append(r.params, data...)
		case kind == fcgiStdin && r != nil && len(data) > 0:
			r.stdin = append(r.stdin, data...)
		case kind == fcgiStdin && r != nil:
			delete(requests, id)
			if err := c.answerFCGI(id, r); err != nil {
				return err
			}
			if !r.keep {
				return nil
			}
		}
	}
}

// answerFCGI sends what the plan says; errClose where the plan ends the connection.
func (c *conn) answerFCGI(id uint16, r *fcgiRequest) error {
	params, err := fcgiPairs(r.params)
	if err != nil {
		return err
	}
	p, err := newPlan(params, string(r.stdin))
	if err != nil {
		return err
	}
	if err := c.sleep(p.delay); err != nil {
		return err
	}
	if p.exit {
		return errClose
	}
	if p.stderr != nil {
		if err := c.send(fcgiRecord(fcgiStderr, id, *p.stderr)); err != nil {
			return err
		}
	}
	stdout := func(s string) string { return fcgiRecord(fcgiStdout, id, s) }
	end := stdout("") + fcgiEndRecord(id)
	if p.halfHeader {
		if err := c.send(stdout("Content-Ty")); err != nil {
			return err
		}
		return errClose
	}
	if p.raw != nil {
		return c.send(stdout(*p.raw) + end)
	}
	pieces := p.pieces()
	if p.bodyDelay == 0 && len(pieces) <= 1 && p.trunc == 0 {
		return c.send(stdout(p.cgiHead()+strings.Join(pieces, "")) + end)
	}
	if err := c.sendSlowly(p, stdout(p.cgiHead()), pieces, stdout); err != nil {
		return err
	}
	if p.trunc != 0 {
		return errClose
	}
	return c.send(end)
}

// fcgiPairs decodes the name-value pairs of a params stream, in their order.
func fcgiPairs(b []byte) ([]param, error) {
	length := func() (int, bool) {
		switch {
		case len(b) >= 1 && b[0]&0x80 == 0:
			n := int(b[0])
			b = b[1:]
			return n, true
		case len(b) >= 4:
			n := int(binary.BigEndian.Uint32(b) &^ (1 << 31))
			b = b[4:]
			return n, true
		}
		return 0, false
	}
	var out []param
	for len(b) > 0 {
		kn, ok1 := length()
		vn, ok2 := length()
		if !ok1 || !ok2 || kn+vn > len(b) {
			return nil, errClose
		}
		out = append(out, param{string(b[:kn]), string(b[kn : kn+vn])})
		b = b[kn+vn:]
	}
	return out, nil
}

// fcgiRecord frames data, in several records if it is long, each padded to 8 bytes.
// Empty data is the record that ends a stream.
func fcgiRecord(kind byte, id uint16, data string) string {
	var out []byte
	for first := true; first || data != ""; first = false {
		d := data[:min(65000, len(data))]
		data = data[len(d):]
		pad := -len(d) & 7
		out = append(out, 1, kind)
		out = binary.BigEndian.AppendUint16(out, id)
		out = binary.BigEndian.AppendUint16(out, uint16(len(d)))
		out = append(out, byte(pad), 0)
		out = append(out, d...)
		out = append(out, make([]byte, pad)...)
	}
	return string(out)
}

// fcgiEndRecord is END_REQUEST with status 0, FCGI_REQUEST_COMPLETE.
func fcgiEndRecord(id uint16) string {
	return fcgiRecord(fcgiEnd, id, string(make([]byte, 8)))
}
