package http1

import (
	"bytes"
	"strconv"
	"strings"

	"luaserve/runtime"
)

// head is a parsed request head. Its strings are parts of one copy of the bytes.
type head struct {
	method, target, proto string
	fields                []runtime.Field
	host                  string
	contentLength         int64 // 0 without a body, -1 when it is chunked
	keepAlive             bool
	expectContinue        bool
}

// headError is why a request is refused before it reaches the pipeline.
type headError struct {
	status int
	proto  string // of the answer: HTTP/1.0 while the client's version is not known
	msg    string
}

func (e *headError) Error() string { return e.msg }

// reset forgets the request, so that nothing of it is held or mistaken for the next one's.
func (h *head) reset() {
	clear(h.fields)
	*h = head{fields: h.fields[:0]}
}

// headEnd returns the length of the head at the beginning of b, with the empty line that
// ends it; 0 when it is not there yet. from is where a former call gave up. Any empty line
// ends the head here; parse refuses it when its line ends are not all of one kind.
func headEnd(b []byte, from int) int {
	for i := max(from-3, 0); i < len(b); i++ {
		n := bytes.IndexByte(b[i:], '\n')
		if n < 0 {
			return 0
		}
		i += n
		if i+1 < len(b) && b[i+1] == '\n' {
			return i + 2
		}
		if i+2 < len(b) && b[i+1] == '\r' && b[i+2] == '\n' {
			return i + 3
		}
	}
	return 0
}

// parseHead reads a head: request line, fields, empty line. text must be all of it.
func (h *head) parse(text string, limits *runtime.Limits) *headError {
	h.fields, h.host = h.fields[:0], ""
	line, rest, crlf, ok := cutLine(text)
	if !ok {
		return &headError{400, "HTTP/1.0", "the request line has no end"}
	}
	if err := h.parseRequestLine(line); err != nil {
		return err
	}
	if len(h.target) > limits.TargetBytes {
		return &headError{414, h.proto, "the request target is too long"}
	}
	for {
		var end bool
		if line, rest, end, ok = cutLine(rest); !ok {
			return h.bad("a header line has no end")
		}
		if end != crlf {
			return h.bad("some lines of the head end with CRLF and some with LF")
		}
		if line == "" {
			break
		}
		if err := h.parseField(line); err != nil {
			return err
		}
		if len(h.fields) > limits.HeaderCount {
			return &headError{431, h.proto, "too many header fields"}
		}
	}
	if err := h.interpret(limits); err != nil {
		return err
	}
	if !crlf && h.contentLength != 0 {
		// RFC 9112, 2.2, lets LF end a line; not all servers do, and behind a body it matters
		return h.bad("a request with a body whose lines end with LF alone")
	}
	return nil
}

func (h *head) bad(msg string) *headError { return &headError{400, h.proto, msg} }

// cutLine cuts a line off; it ends with CRLF or LF (RFC 9112, 2.2).
func cutLine(s string) (line, rest string, crlf, ok bool) {
	i := strings.IndexByte(s, '\n')
	if i < 0 {
		return "", "", false, false
	}
	line, crlf = strings.CutSuffix(s[:i], "\r")
	return line, s[i+1:], crlf, true
}

func (h *head) parseRequestLine(line string) *headError {
	h.proto = "HTTP/1.0"
	method, rest, ok := strings.Cut(line, " ")
	target, proto, ok2 := strings.Cut(rest, " ")
	if !ok || !ok2 || target == "" {
		return h.bad("the request line is not METHOD TARGET VERSION")
	}
	if !runtime.ValidFieldName(method) {
		return h.bad("the method is not a token")
	}
	for i := 0; i < len(target); i++ {
		if target[i] < ' ' || target[i] == 0x7f {
			return h.bad("the request target has a control character")
		}
	}
	switch proto {
	case "HTTP/1.1", "HTTP/1.0":
	default:
		if method == "PROXY" {
			return h.bad("a PROXY header from a peer that proxy_protocol.trust does not name")
		}
		if isVersion(proto) {
			return &headError{505, "HTTP/1.0", "the version " + proto + " is not supported"}
		}
		return h.bad("the version is not HTTP/n.n")
	}
	h.method, h.target, h.proto = method, target, proto
	if target == "*" && method != "OPTIONS" {
		return h.bad("the target * is for OPTIONS only")
	}
	return nil
}

func isVersion(s string) bool {
	return len(s) == 8 && strings.HasPrefix(s, "HTTP/") && isDigit(s[5]) && s[6] == '.' && isDigit(s[7])
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

// parseField reads one field line, or the continuation of the last one (obs-fold, RFC
// 9112, 5.2: it becomes a space).
func (h *head) parseField(line string) *headError {
	if line[0] == ' ' || line[0] == '\t' {
		return h.fold(line)
	}
	name, value, ok := strings.Cut(line, ":")
	if !ok || !validName(name) {
		return h.bad("a header line is not NAME: VALUE")
	}
	value = trimSpace(value)
	if err := h.checkValue(value); err != nil {
		return err
	}
	h.fields = append(h.fields, runtime.Field{Name: name, Value: value})
	return nil
}

func (h *head) fold(line string) *headError {
	if len(h.fields) == 0 {
		return h.bad("the first header line is a continuation")
	}
	last := &h.fields[len(h.fields)-1]
	if isFraming(last.Name) {
		return h.bad("a header line that frames the message is continued")
	}
	value := trimSpace(line)
	if err := h.checkValue(value); err != nil {
		return err
	}
	last.Value = strings.TrimRight(last.Value, " \t") + " " + value
	return nil
}

func isFraming(name string) bool {
	return strings.EqualFold(name, "Content-Length") || strings.EqualFold(name, "Transfer-Encoding") || strings.EqualFold(name, "Host")
}

// checkValue refuses control characters and a quoted string without an end.
func (h *head) checkValue(v string) *headError {
	quoted := false
	for i := 0; i < len(v); i++ {
		c := v[i]
		if c > '"' && c != '\\' && c != 0x7f {
			continue
		}
		switch {
		case c < ' ' && c != '\t', c == 0x7f:
			return h.bad("a header value has a control character")
		case c == '"':
			quoted = !quoted
		case c == '\\' && quoted && i+1 < len(v) && (v[i+1] == '"' || v[i+1] == '\\'):
			i++
		}
	}
	if quoted {
		return h.bad("a header value has a quote without an end")
	}
	return nil
}

// validName accepts tokens and, as lighttpd2 does, bytes above 127.
func validName(name string) bool {
	for i := 0; i < len(name); i++ {
		if !nameBytes[name[i]] {
			return false
		}
	}
	return name != ""
}

var nameBytes = func() (ok [256]bool) {
	for c := range ok {
		ok[c] = c >= 0x80 || runtime.ValidFieldName(string(rune(c)))
	}
	return ok
}()

func trimSpace(s string) string { return strings.TrimRight(strings.TrimLeft(s, " \t"), " ") }

// interpret reads the fields that say how the message goes on.
func (h *head) interpret(limits *runtime.Limits) *headError {
	h.contentLength, h.expectContinue = 0, false
	h.keepAlive = h.proto == "HTTP/1.1"
	hosts, lengths, encodings := 0, 0, 0
	for _, f := range h.fields {
		switch len(f.Name) {
		case len("Host"):
			if strings.EqualFold(f.Name, "Host") {
				hosts++
				h.host = f.Value
			}
		case len("Expect"):
			if strings.EqualFold(f.Name, "Expect") {
				if !strings.EqualFold(f.Value, "100-continue") {
					return &headError{417, h.proto, "the expectation " + f.Value + " cannot be met"}
				}
				h.expectContinue = h.proto == "HTTP/1.1"
			}
		case len("Connection"):
			if strings.EqualFold(f.Name, "Connection") {
				h.connection(f.Value)
			}
		case len("Content-Length"):
			if strings.EqualFold(f.Name, "Content-Length") {
				lengths++
				if err := h.length(f.Value, limits); err != nil {
					return err
				}
			}
		case len("Transfer-Encoding"):
			if strings.EqualFold(f.Name, "Transfer-Encoding") {
				encodings++
				if err := h.encoding(f.Value); err != nil {
					return err
				}
			}
		}
	}
	return h.checkFraming(hosts, lengths, encodings)
}

// checkFraming refuses what two servers in a row could understand in two ways.
func (h *head) checkFraming(hosts, lengths, encodings int) *headError {
	switch {
	case hosts > 1:
		return h.bad("there are two Host fields")
	case lengths > 1:
		return h.bad("there are two Content-Length fields")
	case encodings > 1:
		return h.bad("there are two Transfer-Encoding fields")
	case lengths > 0 && encodings > 0:
		return h.bad("there are both Content-Length and Transfer-Encoding")
	case encodings > 0 && h.proto == "HTTP/1.0":
		return h.bad("a HTTP/1.0 request with Transfer-Encoding")
	}
	return nil
}

func (h *head) connection(value string) {
	for _, option := range strings.Split(value, ",") {
		switch option = trimSpace(option); {
		case strings.EqualFold(option, "close"):
			h.keepAlive = false
		case strings.EqualFold(option, "keep-alive") && h.proto == "HTTP/1.0":
			h.keepAlive = true
		}
	}
}

func (h *head) length(value string, limits *runtime.Limits) *headError {
	if value == "" {
		return h.bad("the Content-Length is empty")
	}
	for i := 0; i < len(value); i++ {
		if !isDigit(value[i]) {
			return h.bad("the Content-Length is not a number")
		}
	}
	n, err := strconv.ParseInt(value, 10, 64)
	if err != nil || n > limits.BodyBytes {
		return &headError{413, h.proto, "the request body is too large"}
	}
	h.contentLength = n
	return nil
}

// encoding accepts chunked alone (RFC 9112, 6.1); identity is a no-op of the past, but one
// that servers disagree about.
func (h *head) encoding(value string) *headError {
	if !strings.EqualFold(value, "chunked") {
		return &headError{501, h.proto, "the Transfer-Encoding " + value + " is not supported"}
	}
	h.contentLength = -1
	return nil
}
