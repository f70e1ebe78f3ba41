package bindings

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"luaserve/runtime"
)

// accessLine is a request that is over.
type accessLine struct {
	vr     *runtime.VRequest
	server string // server.name
	end    time.Time
}

// accessFormat is a parsed format. No parts means JSON.
type accessFormat struct {
	parts []formatPart
}

// formatPart is a directive, or literal text when it has none.
type formatPart struct {
	text  string // the literal, or the key
	write func(buf []byte, l *accessLine, key string) []byte
}

func (f *accessFormat) append(buf []byte, l *accessLine) []byte {
	if f.parts == nil {
		return appendJSONLine(buf, l)
	}
	for i := range f.parts {
		if p := &f.parts[i]; p.write != nil {
			buf = p.write(buf, l, p.text)
		} else {
			buf = append(buf, p.text...)
		}
	}
	return buf
}

func mustAccessFormat(text string) *accessFormat {
	f, err := parseAccessFormat(text)
	if err != nil {
		panic(err)
	}
	return f
}

func parseAccessFormat(text string) (*accessFormat, error) {
	if text == "json" {
		return &accessFormat{}, nil
	}
	if strings.ContainsAny(text, "\r\n") {
		return nil, fmt.Errorf("the format has a line break in it; each request is one line")
	}
	f := &accessFormat{parts: []formatPart{}}
	for text != "" {
		literal, rest, found := strings.Cut(text, "%")
		if literal != "" {
			f.parts = append(f.parts, formatPart{text: literal})
		}
		if !found {
			break
		}
		part, left, err := parseDirective(rest)
		if err != nil {
			return nil, err
		}
		f.parts, text = append(f.parts, part), left
	}
	return f, nil
}

// parseDirective reads what is behind a percent sign.
func parseDirective(s string) (part formatPart, rest string, err error) {
	s = strings.TrimLeft(s, "<>")
	hasKey := strings.HasPrefix(s, "{")
	if hasKey {
		var closed bool
		if part.text, s, closed = strings.Cut(s[1:], "}"); !closed {
			return part, "", fmt.Errorf("a } is missing behind %%{%s", part.text)
		}
	}
	if s == "" {
		return part, "", fmt.Errorf("a directive is missing behind %% at the end; %%%% is a percent sign")
	}
	for _, d := range accessDirectives {
		if s[0] != d.char {
			continue
		}
		switch {
		case d.key == keyNeeded && part.text == "":
			return part, "", fmt.Errorf("%%%c needs a name: %%{name}%c", d.char, d.char)
		case d.key == keyNone && hasKey:
			return part, "", fmt.Errorf("%%%c takes no name, got {%s}", d.char, part.text)
		case d.char == 't' && !validTimeKey(part.text):
			return part, "", fmt.Errorf("unknown form {%s} of %%t; expected sec, msec, usec or none", part.text)
		}
		part.write = d.write
		return part, s[1:], nil
	}
	return part, "", fmt.Errorf("unknown directive %q; expected one of %s", "%"+string([]rune(s)[:1]), directiveNames())
}

func directiveNames() string {
	names := make([]string, len(accessDirectives))
	for i, d := range accessDirectives {
		names[i] = "%" + string(d.char)
	}
	return strings.Join(names, " ")
}

// appendJSONLine appends the object that the format "json" stands for. No duration is
// rounded away: it is in seconds, with microseconds behind the point.
func appendJSONLine(buf []byte, l *accessLine) []byte {
	vr := l.vr
	h := &vr.Request.Header
	entry := struct {
		Time      string  `json:"time"`
		Client    string  `json:"client"`
		Host      string  `json:"host"`
		User      string  `json:"user,omitempty"`
		Method    string  `json:"method"`
		Target    string  `json:"target"`
		Path      string  `json:"path"`
		Protocol  string  `json:"protocol"`
		Status    int     `json:"status"`
		Bytes     int64   `json:"bytes"`
		Duration  float64 `json:"duration"`
		Complete  bool    `json:"complete"`
		TLS       bool    `json:"tls"`
		Referer   string  `json:"referer,omitempty"`
		UserAgent string  `json:"user_agent,omitempty"`
	}{
		Time: vr.Started().Format("2006-01-02T15:04:05.000000Z07:00"), Client: addrText(vr.Con.Remote), Host: vr.Request.URI.Host,
		User: vr.Env.Get("REMOTE_USER"), Method: vr.Request.Method, Target: originalTarget(vr), Path: vr.Request.URI.Path,
		Protocol: vr.Request.Version, Status: vr.Response.Status, Bytes: vr.BytesSent(),
		Duration: float64(l.end.Sub(vr.Started()).Microseconds()) / 1e6, Complete: !vr.WasCut(), TLS: vr.Con.TLS != nil,
		Referer: h.Get("Referer"), UserAgent: h.Get("User-Agent"),
	}
	line, err := json.Marshal(&entry)
	if err != nil { // no field can cause one
		return append(buf, "{}"...)
	}
	return append(buf, line...)
}

// originalTarget is the request target as the client sent it, as far as it was understood.
func originalTarget(vr *runtime.VRequest) string {
	if vr.Request.URI.RawOrigPath != "" {
		return vr.Request.URI.RawOrigPath
	}
	return vr.Request.URI.Raw
}

func addrText(a netip.AddrPort) string {
	if !a.IsValid() {
		return ""
	}
	return a.Addr().String()
}

// appendEscaped appends what a client may have written, "-" for nothing: only printable
// ASCII stays as it is.
func appendEscaped(buf []byte, s string) []byte {
	if s == "" {
		return append(buf, '-')
	}
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c >= ' ' && c <= '~' && c != '"' && c != '\\' {
			buf = append(buf, c)
			continue
		}
		if short := strings.IndexByte("\"\\\b\n\r\t\v", c); short >= 0 {
			buf = append(buf, '\\', `"\bnrtv`[short])
			continue
		}
		const digits = "0123456789ABCDEF"
		buf = append(buf, '\\', 'x', digits[c>>4], digits[c&15])
	}
	return buf
}

func appendInt(buf []byte, n int64) []byte { return strconv.AppendInt(buf, n, 10) }
