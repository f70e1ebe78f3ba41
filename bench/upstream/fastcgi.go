package main

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
)

// Record types and flags (FastCGI 1.0, section 8).
const (
	version      = 1
	beginRequest = 1
	endRequest   = 3
	stdin        = 5
	stdout       = 6
	keepConn     = 1
)

// serveFastCGI answers the requests of one connection, one after another: it reads up to
// the end of a request's standard input, and writes all records of the answer at once. The
// parameters are not looked at.
func serveFastCGI(c io.ReadWriter, body string) error {
	in := bufio.NewReader(c)
	page := fmt.Sprintf("Content-Type: text/plain\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
	keep := false
	for {
		var head [8]byte // FastCGI 1.0, section 3.3
		if _, err := io.ReadFull(in, head[:]); err != nil {
			return err
		}
		if head[0] != version {
			return fmt.Errorf("version: expected %d, got %d", version, head[0])
		}
		kind, id := head[1], binary.BigEndian.Uint16(head[2:])
		length, padding := int(binary.BigEndian.Uint16(head[4:])), int(head[6])
		content, err := in.Peek(min(length, 8))
		if err != nil {
			return err
		}
		if kind == beginRequest && length == 8 {
			keep = content[2]&keepConn != 0
		}
		if _, err := in.Discard(length + padding); err != nil {
			return err
		}
		if kind == stdin && length == 0 {
			if _, err := c.Write(answer(id, page)); err != nil || !keep {
				return err
			}
		}
	}
}

// answer is a whole response: standard output, its end, and the end of the request.
func answer(id uint16, page string) []byte {
	out := record(nil, stdout, id, []byte(page))
	out = record(out, stdout, id, nil)
	return record(out, endRequest, id, make([]byte, 8)) // status 0, request complete
}

func record(out []byte, kind byte, id uint16, content []byte) []byte {
	out = append(out, version, kind)
	out = binary.BigEndian.AppendUint16(out, id)
	out = binary.BigEndian.AppendUint16(out, uint16(len(content)))
	out = append(out, 0, 0)
	return append(out, content...)
}
