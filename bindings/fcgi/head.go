package fcgi

import (
	"bytes"
	"strconv"
	"strings"
)

// Field is one header field of a response.
type Field struct{ Name, Value string }

// headEnd looks for the empty line that ends a response head (RFC 3875 section 6.2), where
// lines end in LF or CRLF. line is where the line begins that was not complete when the
// head was looked at before, 0 at first. It returns the length of the head with its empty
// line, or -1 and the line to go on from.
func headEnd(b []byte, line int) (end, next int) {
	for {
		i := bytes.IndexByte(b[line:], '\n')
		if i < 0 {
			return -1, line
		}
		if i == 0 || i == 1 && b[line] == '\r' {
			return line + i + 1, 0
		}
		line += i + 1
	}
}

// head is a parsed response head.
type head struct {
	status      int
	statusGiven bool // there was a Status field
	fields      []Field
	length      int64 // Content-Length, -1 when there is none
}

// parseHead parses a response head (RFC 3875 section 6.3) up to its empty line. It is as
// strict as HTTP is: a line that a server would have to repair is an error.
func parseHead(s string) (head, error) {
	h := head{status: 200, length: -1}
	h.fields = make([]Field, 0, strings.Count(s, "\n"))
	redirect := false
	for s != "" {
		line, rest, _ := strings.Cut(s, "\n")
		s = rest
		line = strings.TrimSuffix(line, "\r")
		if line == "" {
			break
		}
		f, err := parseField(line)
		if err != nil {
			return head{}, err
		}
		switch {
		case isName(f.Name, "status"):
			if h.statusGiven {
				return head{}, badf("more than one Status field")
			}
			if h.status, err = parseStatus(f.Value); err != nil {
				return head{}, err
			}
			h.statusGiven = true
			continue
		case isName(f.Name, "location"):
			redirect = redirect || f.Value != ""
		case isName(f.Name, "content-length"):
			n, err := parseLength(f.Value)
			if err != nil {
				return head{}, err
			}
			if h.length >= 0 {
				if h.length != n {
					return head{}, badf("Content-Length fields that differ: %d and %d", h.length, n)
				}
				continue
			}
			h.length = n
		case hopByHop(f.Name):
			continue
		}
		h.fields = append(h.fields, f)
	}
	if redirect && !h.statusGiven {
		h.status = 302
	}
	if h.status == 204 {
		h.dropLength()
	}
	return h, nil
}

// dropLength removes Content-Length, which RFC 9110 section 8.6 forbids with 204.
func (h *head) dropLength() {
	if h.length < 0 {
		return
	}
	h.length = -1
	for i := range h.fields {
		if isName(h.fields[i].Name, "content-length") {
			h.fields = append(h.fields[:i], h.fields[i+1:]...)
			return
		}
	}
}

// parseField splits a header line without its end. Space around the value is dropped.
func parseField(line string) (Field, error) {
	name, value, ok := strings.Cut(line, ":")
	if !ok {
		return Field{}, badf("header line without a colon: %s", quote(line))
	}
	if name == "" {
		return Field{}, badf("header line without a name: %s", quote(line))
	}
	for i := 0; i < len(name); i++ {
		if !isToken[name[i]] {
			return Field{}, badf("header name with byte %#02x: %s", name[i], quote(line))
		}
	}
	value = strings.Trim(value, " \t")
	for i := 0; i < len(value); i++ {
		if c := value[i]; c < ' ' && c != '\t' || c == 0x7f {
			return Field{}, badf("header value with control byte %#02x: %s", c, quote(line))
		}
	}
	return Field{name, value}, nil
}

// parseStatus parses the value of a Status field: three digits, then the end or a space and
// a reason (RFC 3875 section 6.3.3). Interim answers (1xx) are not an application's to give:
// there is one head, and it is the final one.
func parseStatus(v string) (int, error) {
	if len(v) < 3 || len(v) > 3 && v[3] != ' ' && v[3] != '\t' {
		return 0, badf("bad Status: %s", quote(v))
	}
	code := 0
	for i := range 3 {
		if v[i] < '0' || v[i] > '9' {
			return 0, badf("bad Status: %s", quote(v))
		}
		code = code*10 + int(v[i]-'0')
	}
	if code < 200 {
		return 0, badf("bad Status: %s", quote(v))
	}
	return code, nil
}

// parseLength parses Content-Length: digits only (RFC 9110 section 8.6).
func parseLength(v string) (int64, error) {
	n, err := strconv.ParseUint(v, 10, 63)
	if err != nil {
		return 0, badf("bad Content-Length: %s", quote(v))
	}
	return int64(n), nil
}

// hopByHop reports whether a field is about the connection to the client, which is not the
// application's business (RFC 9110 section 7.6.1).
func hopByHop(name string) bool {
	switch len(name) {
	case len("connection"):
		return isName(name, "connection") || isName(name, "keep-alive")
	case len("proxy-connection"):
		return isName(name, "proxy-connection")
	case len("transfer-encoding"):
		return isName(name, "transfer-encoding")
	}
	return false
}

func isName(name, lower string) bool {
	return len(name) == len(lower) && strings.EqualFold(name, lower)
}

// quote quotes the start of s for an error message.
func quote(s string) string {
	if len(s) > 80 {
		return strconv.Quote(s[:80]) + "..."
	}
	return strconv.Quote(s)
}

// isToken holds the bytes of a token (RFC 9110 section 5.6.2).
var isToken = func() (t [256]bool) {
	for c := '0'; c <= '9'; c++ {
		t[c] = true
	}
	for c := 'a'; c <= 'z'; c++ {
		t[c], t[c-'a'+'A'] = true, true
	}
	for _, c := range "!#$%&'*+-.^_`|~" {
		t[c] = true
	}
	return t
}()
