package bindings

import (
	"strconv"
	"strings"
	"time"

	"luaserve/runtime"
)

// keyUse says whether a directive takes a name: %{name}i.
type keyUse uint8

const (
	keyNone keyUse = iota
	keyNeeded
	keyMay
)

// accessDirective is one letter of the format.
type accessDirective struct {
	char  byte
	key   keyUse
	doc   string
	write func(buf []byte, l *accessLine, key string) []byte
}

// logText makes a directive of a text that is escaped, "-" when there is none.
func logText(get func(l *accessLine, key string) string) func([]byte, *accessLine, string) []byte {
	return func(buf []byte, l *accessLine, key string) []byte { return appendEscaped(buf, get(l, key)) }
}

func logNumber(get func(l *accessLine) int64) func([]byte, *accessLine, string) []byte {
	return func(buf []byte, l *accessLine, _ string) []byte { return appendInt(buf, get(l)) }
}

var accessDirectives = []accessDirective{
	{'%', keyNone, "a percent sign", func(buf []byte, _ *accessLine, _ string) []byte { return append(buf, '%') }},
	{'a', keyNone, "address of the client", logText(clientAddr)},
	{'A', keyNone, "address of the server", logText(func(l *accessLine, _ string) string { return addrText(l.vr.Con.Local) })},
	{'b', keyNone, "bytes of the body that were sent, - for none", appendBytesCLF},
	{'B', keyNone, "bytes of the body that were sent", logNumber(func(l *accessLine) int64 { return l.vr.BytesSent() })},
	{'C', keyNeeded, "a cookie of the request", logText(cookieOf)},
	{'D', keyNone, "duration in microseconds", logNumber(func(l *accessLine) int64 { return l.end.Sub(l.vr.Started()).Microseconds() })},
	{'e', keyNeeded, "an entry of the request's environment", logText(func(l *accessLine, key string) string { return l.vr.Env.Get(key) })},
	{'f', keyNone, "the file that the URL was mapped to", logText(func(l *accessLine, _ string) string { return l.vr.Physical.Path })},
	{'h', keyNone, "address of the client", logText(clientAddr)},
	{'i', keyNeeded, "a field of the request header", logText(func(l *accessLine, key string) string { return allFields(&l.vr.Request.Header, key) })},
	{'I', keyNone, "bytes received, reckoned as HTTP/1.1, without a body of unknown length", logNumber(func(l *accessLine) int64 { return bytesReceived(l.vr) })},
	{'l', keyNone, "always -, as in Apache's formats", logText(func(*accessLine, string) string { return "" })},
	{'m', keyNone, "method", logText(func(l *accessLine, _ string) string { return l.vr.Request.Method })},
	{'o', keyNeeded, "a field of the response header", logText(func(l *accessLine, key string) string { return allFields(&l.vr.Response.Header, key) })},
	{'O', keyNone, "bytes sent, reckoned as HTTP/1.1", logNumber(func(l *accessLine) int64 { return bytesSent(l.vr) })},
	{'p', keyNone, "port of the server", appendLocalPort},
	{'q', keyNone, "query", logText(func(l *accessLine, _ string) string { return l.vr.Request.URI.Query })},
	{'r', keyNone, "first line of the request", appendFirstLine},
	{'s', keyNone, "status", logNumber(func(l *accessLine) int64 { return int64(l.vr.Response.Status) })},
	{'t', keyMay, "when the request began, [02/Jan/2026:15:04:05 +0100]; {sec}, {msec} and {usec} count since 1970", appendAccessTime},
	{'T', keyNone, "duration in seconds", logNumber(func(l *accessLine) int64 { return int64(l.end.Sub(l.vr.Started()) / time.Second) })},
	{'u', keyNone, "user that is logged in", logText(func(l *accessLine, _ string) string { return l.vr.Env.Get("REMOTE_USER") })},
	{'U', keyNone, "path of the URL", logText(func(l *accessLine, _ string) string { return l.vr.Request.URI.Path })},
	{'v', keyNone, "server.name, or the host of the request", logText(serverNameOf)},
	{'V', keyNone, "host of the request", logText(func(l *accessLine, _ string) string { return l.vr.Request.URI.Host })},
	{'X', keyNone, "X when the answer could not be sent to its end, + when the connection could be used again, - when not", appendConnection},
}

func clientAddr(l *accessLine, _ string) string { return addrText(l.vr.Con.Remote) }

func appendBytesCLF(buf []byte, l *accessLine, _ string) []byte {
	if n := l.vr.BytesSent(); n > 0 {
		return appendInt(buf, n)
	}
	return append(buf, '-')
}

func cookieOf(l *accessLine, key string) string {
	for name, value := range l.vr.Request.Header.All() {
		if !strings.EqualFold(name, "Cookie") {
			continue
		}
		for pair := range strings.SplitSeq(value, ";") {
			if k, v, ok := strings.Cut(strings.TrimSpace(pair), "="); ok && k == key {
				return v
			}
		}
	}
	return ""
}

// allFields joins the fields of a name.
func allFields(h *runtime.Header, key string) string {
	first, more := "", 0
	for name, value := range h.All() {
		if strings.EqualFold(name, key) {
			if more++; more == 1 {
				first = value
			} else {
				first += ", " + value
			}
		}
	}
	return first
}

func appendLocalPort(buf []byte, l *accessLine, _ string) []byte {
	if local := l.vr.Con.Local; local.IsValid() {
		return appendInt(buf, int64(local.Port()))
	}
	return append(buf, '-')
}

// appendFirstLine writes - for a request whose first line was none.
func appendFirstLine(buf []byte, l *accessLine, _ string) []byte {
	if l.vr.Request.Method == "" {
		return append(buf, '-')
	}
	buf = append(appendEscaped(buf, l.vr.Request.Method), ' ')
	buf = append(appendEscaped(buf, originalTarget(l.vr)), ' ')
	return appendEscaped(buf, l.vr.Request.Version)
}

func validTimeKey(key string) bool {
	return key == "" || key == "sec" || key == "msec" || key == "usec"
}

func appendAccessTime(buf []byte, l *accessLine, key string) []byte {
	t := l.vr.Started()
	switch key {
	case "sec":
		return appendInt(buf, t.Unix())
	case "msec":
		return appendInt(buf, t.UnixMilli())
	case "usec":
		return appendInt(buf, t.UnixMicro())
	}
	return t.AppendFormat(buf, "[02/Jan/2006:15:04:05 -0700]")
}

func serverNameOf(l *accessLine, _ string) string {
	if l.server != "" {
		return l.server
	}
	return l.vr.Request.URI.Host
}

// appendConnection tells what both sides said about the connection; whether the client
// came back on it is not known yet.
func appendConnection(buf []byte, l *accessLine, _ string) []byte {
	vr := l.vr
	asked := strings.ToLower(vr.Request.Header.Get("Connection"))
	switch {
	case vr.WasCut():
		return append(buf, 'X')
	case strings.Contains(asked, "close"), vr.Response.Header.Get("Connection") == "close",
		vr.Request.Version == "HTTP/1.0" && !strings.Contains(asked, "keep-alive"):
		return append(buf, '-')
	}
	return append(buf, '+')
}

// headBytes is the length of header fields in HTTP/1.1, with the empty line.
func headBytes(h *runtime.Header) int64 {
	n := int64(len("\r\n"))
	for name, value := range h.All() {
		n += int64(len(name) + len(": ") + len(value) + len("\r\n"))
	}
	return n
}

// bytesReceived is the length of a request as HTTP/1.1. A body counts when its length is
// known: what was read of another one cannot be asked for while somebody may still read it.
func bytesReceived(vr *runtime.VRequest) int64 {
	req := &vr.Request
	n := int64(len(req.Method)+len(" ")+len(originalTarget(vr))+len(" ")+len(req.Version)+len("\r\n")) + headBytes(&req.Header)
	if length, err := strconv.ParseInt(req.Header.Get("Content-Length"), 10, 64); err == nil && length >= 0 {
		n += length
	}
	return n
}

// bytesSent is the length of an answer as HTTP/1.1, of its body what was sent of it.
func bytesSent(vr *runtime.VRequest) int64 {
	resp := &vr.Response
	return int64(len("HTTP/1.1 200 \r\n")+len(runtime.StatusText(resp.Status))) + headBytes(&resp.Header) + vr.BytesSent()
}
