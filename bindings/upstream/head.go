package upstream

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
)

// HeadEnd looks for the empty line that ends a response head, where lines end in LF or CRLF.
// line is where the line begins that was not complete when the head was looked at before, 0 at
// first. It returns the length of the head with its empty line, or -1 and the line to go on
// from.
func HeadEnd(b []byte, line int) (end, next int) {
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

// CutLine returns the first line of s without its end, LF or CRLF, and what is behind it.
func CutLine(s string) (line, rest string) {
	i := strings.IndexByte(s, '\n')
	if i < 0 {
		return strings.TrimSuffix(s, "\r"), ""
	}
	return strings.TrimSuffix(s[:i], "\r"), s[i+1:]
}

// CutField splits a header line without its end. Space around the value is dropped. It is as
// strict as RFC 9110 section 5: a line that a server would have to repair is an error, also one
// that goes on the line before it.
func CutField(line string) (name, value string, err error) {
	colon := strings.IndexByte(line, ':')
	if colon < 0 {
		return "", "", fmt.Errorf("header line without a colon: %s", Quote(line))
	}
	if name, value = line[:colon], trimSpace(line[colon+1:]); name == "" {
		return "", "", fmt.Errorf("header line without a name: %s", Quote(line))
	}
	for i := 0; i < len(name); i++ {
		if !isTokenByte[name[i]] {
			return "", "", fmt.Errorf("header name with byte %#02x: %s", name[i], Quote(line))
		}
	}
	for i := 0; i < len(value); i++ {
		if c := value[i]; c < ' ' && c != '\t' || c == 0x7f {
			return "", "", fmt.Errorf("header value with control byte %#02x: %s", c, Quote(line))
		}
	}
	return name, value, nil
}

// trimSpace is strings.Trim for spaces and tabs, which nearly all fields need.
func trimSpace(s string) string {
	for s != "" && (s[0] == ' ' || s[0] == '\t') {
		s = s[1:]
	}
	for s != "" && (s[len(s)-1] == ' ' || s[len(s)-1] == '\t') {
		s = s[:len(s)-1]
	}
	return s
}

// ParseLength parses the value of a Content-Length: digits only (RFC 9110 section 8.6).
func ParseLength(v string) (int64, error) {
	n, err := strconv.ParseUint(v, 10, 63)
	if err != nil {
		return 0, fmt.Errorf("bad Content-Length: %s", Quote(v))
	}
	return int64(n), nil
}

// IsName reports whether a header name is the one that lower is in lower case.
func IsName(name, lower string) bool {
	return len(name) == len(lower) && strings.EqualFold(name, lower)
}

// IsToken reports whether s is a token (RFC 9110 section 5.6.2).
func IsToken(s string) bool {
	for i := 0; i < len(s); i++ {
		if !isTokenByte[s[i]] {
			return false
		}
	}
	return s != ""
}

// Quote quotes the start of s for an error message.
func Quote(s string) string {
	if len(s) > 80 {
		return strconv.Quote(s[:80]) + "..."
	}
	return strconv.Quote(s)
}

var isTokenByte = func() (t [256]bool) {
	for c := byte('!'); c <= '~'; c++ {
		t[c] = !strings.ContainsRune(`"(),/:;<=>?@[\]{}`, rune(c))
	}
	return t
}()
