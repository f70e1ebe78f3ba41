package httpproxy

import (
	"fmt"
	"net/http"
	"strings"

	"luaserve/bindings/upstream"
)

// head is the head of a response (RFC 9112).
type head struct {
	status  int
	fields  []Field // those that are passed on
	length  int64   // Content-Length, -1 when there is none
	chunked bool
	keep    bool // the upstream keeps the connection open

	behind string // the beginning of what came behind the head

	named   tokens // fields that Connection says are for this connection only
	upgrade string // the protocol, when Connection says that it counts
	trailer tokens // the fields that Trailer announces
}

// readHead reads up to the end of the final response head; interim ones are skipped, but not
// that of an upstream that goes over to the protocol upgrade.
func (cn *conn) readHead(upgrade string, h *head) error {
	space, left := h.fields, cn.config.MaxHeadBytes
	for {
		text, behind, err := cn.headText(left)
		if err != nil {
			return err
		}
		left -= len(text)
		*h = head{fields: space, length: -1, behind: behind}
		if err := h.parse(text); err != nil {
			return err
		}
		switch {
		case h.status >= 200, h.switchedTo(upgrade):
			return nil
		case h.status < 100 || h.status == http.StatusSwitchingProtocols:
			return fmt.Errorf("the answer has the status %03d", h.status)
		}
	}
}

// protocol is how every answer begins.
const protocol = "HTTP/"

// oneText is the longest body, in bytes, that is in one piece of memory with its head.
const oneText = 1 << 10

// headText reads a head of at most limit bytes. It also returns the beginning of what has come
// behind it.
func (cn *conn) headText(limit int) (head, behind string, err error) {
	var before []byte // what did not fit the buffer
	for line := 0; ; {
		text := cn.buffered()
		if before != nil {
			text = append(before, text...)
		}
		if n := min(len(text), len(protocol)); string(text[:n]) != protocol[:n] {
			return "", "", fmt.Errorf("malformed status line: %s", upstream.Quote(string(text[:min(len(text), 100)])))
		}
		end, next := upstream.HeadEnd(text, line)
		if end > limit || end < 0 && len(text) >= limit {
			return "", "", fmt.Errorf("the response head is larger than %d bytes", cn.config.MaxHeadBytes)
		}
		if end >= 0 {
			cn.r += end - len(before)
			both := string(text[:min(len(text), end+oneText)])
			return both[:end], both[end:], nil
		}
		line = next
		if before != nil || cn.w-cn.r == readBuffer {
			before = append([]byte(nil), text...)
			cn.r = cn.w
		}
		if err := cn.fill(); err != nil {
			return "", "", err
		}
	}
}

// parse takes a head apart.
func (h *head) parse(text string) error {
	line, text := upstream.CutLine(text)
	old, err := h.parseStatus(line)
	if err != nil {
		return err
	}
	closes, keeps := false, false
	for {
		if line, text = upstream.CutLine(text); line == "" {
			break
		}
		name, value, err := upstream.CutField(line)
		if err != nil {
			return fmt.Errorf("malformed %w", err)
		}
		if upstream.IsName(name, "connection") {
			h.named = h.named.add(value)
			options := asTokens(value)
			closes, keeps = closes || options.has("close"), keeps || options.has("keep-alive")
		}
		if err := h.add(name, value); err != nil {
			return err
		}
	}
	h.keep = !closes && (!old || keeps)
	if !h.named.has("upgrade") {
		h.upgrade = ""
	}
	if h.chunked && old {
		return fmt.Errorf("a transfer encoding in an answer of HTTP/1.0")
	}
	if h.chunked || len(h.named) > 0 {
		h.drop()
	}
	return nil
}

// parseStatus parses the first line (RFC 9112 section 4); old is HTTP/1.0.
func (h *head) parseStatus(line string) (old bool, err error) {
	version, rest, _ := strings.Cut(line, " ")
	if version != "HTTP/1.1" && version != "HTTP/1.0" {
		return false, fmt.Errorf("the answer is %s", upstream.Quote(version))
	}
	digits, _, _ := strings.Cut(rest, " ")
	if len(digits) != 3 {
		return false, fmt.Errorf("malformed status line: %s", upstream.Quote(line))
	}
	for i := range 3 {
		if digits[i] < '0' || digits[i] > '9' {
			return false, fmt.Errorf("malformed status line: %s", upstream.Quote(line))
		}
		h.status = h.status*10 + int(digits[i]-'0')
	}
	return version == "HTTP/1.0", nil
}

// add takes in a field.
func (h *head) add(name, value string) error {
	switch {
	case upstream.IsName(name, "content-length"):
		n, err := upstream.ParseLength(value)
		if err != nil {
			return err
		}
		if h.length >= 0 {
			if h.length != n {
				return fmt.Errorf("Content-Length fields that differ: %d and %d", h.length, n)
			}
			return nil
		}
		h.length = n
	case upstream.IsName(name, "transfer-encoding"):
		if h.chunked || !strings.EqualFold(value, "chunked") {
			return fmt.Errorf("unsupported transfer encoding: %s", upstream.Quote(value))
		}
		h.chunked = true
	case upstream.IsName(name, "trailer"):
		h.trailer = append(h.trailer, asTokens(value)...)
	case upstream.IsName(name, "upgrade"):
		h.upgrade = value
	}
	if !perConnection(name) {
		h.fields = append(h.fields, Field{name, value})
	}
	return nil
}

// drop removes the fields that belong to this connection, and a length that does not count
// (RFC 9112 section 6.3).
func (h *head) drop() {
	kept := h.fields[:0]
	for _, f := range h.fields {
		if h.named.has(f.Name) || h.chunked && upstream.IsName(f.Name, "content-length") {
			continue
		}
		kept = append(kept, f)
	}
	h.fields = kept
	if h.chunked {
		h.length = -1
	}
}
