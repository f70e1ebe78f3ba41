package backend

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"io"
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
	params []byte
	stdin  bytes.Buffer
	sink   io.Writer // takes the stdin in place of stdin, unless it is nil
	keep   bool      // FCGI_KEEP_CONN
}

// serveFCGI answers each request when its stdin has ended.
func serveFCGI(c *conn) error {
	requests := map[uint16]*fcgiRequest{}
	for {
		id, r, err := c.readFCGI(requests, nil)
		if err != nil {
			return err
		}
		if err := c.answerFCGI(id, r); err != nil {
			return err
		}
		if !r.keep {
			return nil
		}
	}
}

// readFCGI reads records until the stdin of a request has ended, and takes it out of requests,
// those that have begun. The stdin goes to sink, unless that is nil.
func (c *conn) readFCGI(requests map[uint16]*fcgiRequest, sink io.Writer) (uint16, *fcgiRequest, error) {
	for {
		kind, id, data, err := c.readRecord()
		if err != nil {
			return 0, nil, err
		}
		r := requests[id]
		switch {
		case kind == fcgiBegin:
			if len(data) < 3 {
				return 0, nil, errClose
			}
			requests[id] = &fcgiRequest{sink: sink, keep: data[2]&1 != 0}
		case kind == fcgiAbort:
			delete(requests, id)
			err = c.send(fcgiEndRecord(id))
		case kind == fcgiParams && r != nil:
			r.params = append(r.params, data...)
		case kind == fcgiStdin && r != nil && len(data) > 0:
			_, err = cmp.Or[io.Writer](r.sink, &r.stdin).Write(data)
		case kind == fcgiStdin && r != nil:
			delete(requests, id)
			return id, r, nil
		}
		if err != nil {
			return 0, nil, err
		}
	}
}

func (c *conn) readRecord() (kind byte, id uint16, data []byte, err error) {
	head, err := c.readN(8)
	if err != nil {
		return 0, 0, nil, err
	}
	if data, err = c.readN(int(binary.BigEndian.Uint16(head[4:]))); err != nil {
		return 0, 0, nil, err
	}
	_, err = c.readN(int(head[6])) // padding
	return head[1], binary.BigEndian.Uint16(head[2:]), data, err
}

// answerFCGI sends what the plan says; errClose where the plan ends the connection.
func (c *conn) answerFCGI(id uint16, r *fcgiRequest) error {
	params, err := fcgiPairs(r.params)
	if err != nil {
		return err
	}
	p, err := newPlan(params, r.stdin.String())
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
