package fcgi

import "luaserve/bindings/upstream"

// Field is one header field of a response.
type Field struct{ Name, Value string }

// head is a parsed response head.
type head struct {
	status      int
	statusGiven bool // there was a Status field
	fields      []Field
	length      int64 // Content-Length, -1 when there is none
}

// parseHead parses a response head (RFC 3875 section 6.3) up to its empty line. It is as
// strict as HTTP is: a line that a server would have to repair is an error. The fields are
// appended to space.
func parseHead(s string, space []Field) (head, error) {
	h := head{status: 200, length: -1, fields: space}
	redirect := false
	for s != "" {
		var line string
		if line, s = upstream.CutLine(s); line == "" {
			break
		}
		name, value, err := upstream.CutField(line)
		if err != nil {
			return head{}, protocolError(err.Error())
		}
		f := Field{name, value}
		switch {
		case upstream.IsName(f.Name, "status"):
			if h.statusGiven {
				return head{}, badf("more than one Status field")
			}
			if h.status, err = parseStatus(f.Value); err != nil {
				return head{}, err
			}
			h.statusGiven = true
			continue
		case upstream.IsName(f.Name, "location"):
			redirect = redirect || f.Value != ""
		case upstream.IsName(f.Name, "content-length"):
			n, err := upstream.ParseLength(f.Value)
			if err != nil {
				return head{}, protocolError(err.Error())
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
		if upstream.IsName(h.fields[i].Name, "content-length") {
			h.fields = append(h.fields[:i], h.fields[i+1:]...)
			return
		}
	}
}

// parseStatus parses the value of a Status field: three digits, then the end or a space and
// a reason (RFC 3875 section 6.3.3). Interim answers (1xx) are not an application's to give:
// there is one head, and it is the final one.
func parseStatus(v string) (int, error) {
	if len(v) < 3 || len(v) > 3 && v[3] != ' ' && v[3] != '\t' {
		return 0, badf("bad Status: %s", upstream.Quote(v))
	}
	code := 0
	for i := range 3 {
		if v[i] < '0' || v[i] > '9' {
			return 0, badf("bad Status: %s", upstream.Quote(v))
		}
		code = code*10 + int(v[i]-'0')
	}
	if code < 200 {
		return 0, badf("bad Status: %s", upstream.Quote(v))
	}
	return code, nil
}

// hopByHop reports whether a field is about the connection to the client, which is not the
// application's business (RFC 9110 section 7.6.1).
func hopByHop(name string) bool {
	switch len(name) {
	case len("connection"):
		return upstream.IsName(name, "connection") || upstream.IsName(name, "keep-alive")
	case len("proxy-connection"):
		return upstream.IsName(name, "proxy-connection")
	case len("transfer-encoding"):
		return upstream.IsName(name, "transfer-encoding")
	}
	return false
}
