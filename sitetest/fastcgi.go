package sitetest

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
)

// The record types of FastCGI that a responder meets (FastCGI 8).
const (
	fcgiBegin  = 1
	fcgiEnd    = 3
	fcgiParams = 4
	fcgiStdin  = 5
	fcgiStdout = 6
)

// maxParams bounds the variables of a request, in bytes.
const maxParams = 1 << 20

// serveFastCGI answers the requests of a connection, one after another. net/http/fcgi would
// hide SCRIPT_NAME and PATH_INFO, which tests are about.
func serveFastCGI(c net.Conn, r *bufio.Reader, ask func(*call) (*answer, error)) error {
	for {
		id, keep, q, err := readFastCGI(r)
		if err != nil {
			return err
		}
		a, err := ask(q)
		if err != nil {
			return err
		}
		out := appendRecords(nil, fcgiStdout, id, cgiText(a))
		out = appendRecord(out, fcgiStdout, id, "")
		out = appendRecord(out, fcgiEnd, id, string(make([]byte, 8)))
		if _, err := c.Write(out); err != nil || !keep {
			return err
		}
	}
}

// readFastCGI reads one request.
func readFastCGI(r *bufio.Reader) (id uint16, keep bool, q *call, err error) {
	var params, body []byte
	for {
		var head [8]byte
		if _, err := io.ReadFull(r, head[:]); err != nil {
			return 0, false, nil, err
		}
		content := make([]byte, int(binary.BigEndian.Uint16(head[4:]))+int(head[6]))
		if _, err := io.ReadFull(r, content); err != nil {
			return 0, false, nil, err
		}
		content = content[:len(content)-int(head[6])]
		switch head[1] {
		case fcgiBegin:
			if len(content) < 8 {
				return 0, false, nil, errors.New("a FastCGI request that begins with too few bytes")
			}
			id, keep, params, body = binary.BigEndian.Uint16(head[2:]), content[2]&1 != 0, nil, nil
		case fcgiParams:
			params = append(params, content...)
		case fcgiStdin:
			if len(content) == 0 {
				env, err := pairs(params)
				return id, keep, cgiCall(env, body), err
			}
			body = append(body, content...)
		}
		if len(params) > maxParams || len(body) > maxBody {
			return 0, false, nil, errors.New("the request is too large for a test")
		}
	}
}

// pairs decodes names and values (FastCGI 3.4).
func pairs(b []byte) ([][2]string, error) {
	var out [][2]string
	for len(b) > 0 {
		var n [2]int
		for i := range n {
			switch {
			case len(b) > 0 && b[0] < 0x80:
				n[i], b = int(b[0]), b[1:]
			case len(b) >= 4:
				n[i], b = int(binary.BigEndian.Uint32(b)&0x7fffffff), b[4:]
			default:
				return nil, errors.New("the FastCGI variables break off")
			}
		}
		if n[0]+n[1] > len(b) {
			return nil, fmt.Errorf("a FastCGI variable of %d bytes, but %d are left", n[0]+n[1], len(b))
		}
		out = append(out, [2]string{string(b[:n[0]]), string(b[n[0] : n[0]+n[1]])})
		b = b[n[0]+n[1]:]
	}
	return out, nil
}

// appendRecords frames a text in as many records as it needs.
func appendRecords(out []byte, kind byte, id uint16, text string) []byte {
	const most = 65535
	for len(text) > most {
		out, text = appendRecord(out, kind, id, text[:most]), text[most:]
	}
	return appendRecord(out, kind, id, text)
}

func appendRecord(out []byte, kind byte, id uint16, content string) []byte {
	out = append(out, 1, kind)
	out = binary.BigEndian.AppendUint16(out, id)
	out = binary.BigEndian.AppendUint16(out, uint16(len(content)))
	return append(append(out, 0, 0), content...)
}
