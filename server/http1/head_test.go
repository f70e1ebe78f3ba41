package http1

import (
	"reflect"
	"strings"
	"testing"

	"luaserve/runtime"
)

func defaults() *runtime.Limits {
	l := runtime.DefaultLimits()
	return &l
}

func TestHead(t *testing.T) {
	var h head
	text := "POST /a?b HTTP/1.1\r\nhOST: Example.net\r\nX-A:1\r\nx-a:  2  \r\nX-Fold: a\r\n\tb\r\nContent-Length: 12\r\n\r\n"
	if err := h.parse(text, defaults()); err != nil {
		t.Fatal(err)
	}
	want := []runtime.Field{{Name: "hOST", Value: "Example.net"}, {Name: "X-A", Value: "1"}, {Name: "x-a", Value: "2"},
		{Name: "X-Fold", Value: "a b"}, {Name: "Content-Length", Value: "12"}}
	if !reflect.DeepEqual(h.fields, want) {
		t.Errorf("fields %q", h.fields)
	}
	if h.method != "POST" || h.target != "/a?b" || h.proto != "HTTP/1.1" || h.host != "Example.net" || h.contentLength != 12 || !h.keepAlive {
		t.Errorf("head %+v", h)
	}
}

func TestHeadRefused(t *testing.T) {
	get := func(fields string) string { return "GET / HTTP/1.1\r\nHost: a\r\n" + fields + "\r\n" }
	post := func(fields string) string { return "POST / HTTP/1.1\r\nHost: a\r\n" + fields + "\r\n" }
	for text, status := range map[string]int{
		"GET  / HTTP/1.1\r\n\r\n":                                   400,
		"GET / HTTP/1.1 \r\n\r\n":                                   400,
		"GET /\r\n\r\n":                                             400,
		"GET / HTTP/1.1\r\nHost: a\r\nX: \"\\\r\"\r\n\r\n":          400, // a backslash hides no control character
		"GET / http/1.1\r\n\r\n":                                    400,
		"G@T / HTTP/1.1\r\n\r\n":                                    400,
		"GET /a\x01b HTTP/1.1\r\n\r\n":                              400,
		"GET / HTTP/2.0\r\n\r\n":                                    505,
		"GET * HTTP/1.1\r\nHost: a\r\n\r\n":                         400,
		get("X : y\r\n"):                                            400,
		get(": y\r\n"):                                              400,
		"GET / HTTP/1.1\r\n X: y\r\n\r\n":                           400,
		get("X\r\n"):                                                400,
		get("X/y: 1\r\n"):                                           400,
		get("X: a\x00b\r\n"):                                        400,
		get("X: a\rb\r\n"):                                          400,
		get("X: \"open\r\n"):                                        400,
		get("Host: b\r\n"):                                          400,
		get("Expect: magic\r\n"):                                    417,
		post("Content-Length: 3, 3\r\n"):                            400,
		post("Content-Length: +3\r\n"):                              400,
		post("Content-Length: \r\n"):                                400,
		post("Content-Length: 3\r\nContent-Length: 3\r\n"):          400,
		post("Content-Length: 3\r\nTransfer-Encoding: chunked\r\n"): 400,
		post("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n"): 400,
		post("Transfer-Encoding: gzip, chunked\r\n"):                         501,
		post("Transfer-Encoding:\r\n chunked\r\n"):                           400,
		post("Content-Length: 1\r\n 2\r\n"):                                  400,
		post("Content-Length: 99999999999999999999\r\n"):                     413,
		"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n":              400,
		"GET /" + strings.Repeat("a", 8192) + " HTTP/1.1\r\nHost: a\r\n\r\n": 414,
		get(strings.Repeat("X: y\r\n", 101)):                                 431,
	} {
		var h head
		err := h.parse(text, defaults())
		if err == nil || err.status != status {
			t.Errorf("%q: %v, want status %d", text[:min(len(text), 90)], err, status)
		}
	}
}

func TestHeadEnd(t *testing.T) {
	for text, want := range map[string]int{
		"GET / HTTP/1.1\r\n\r\nrest": 18, "GET / HTTP/1.1\n\nrest": 16, "GET / HTTP/1.1\r\nA: b\r\n": 0, "": 0, "\n": 0,
	} {
		for from := 0; from <= len(text); from++ {
			if got := headEnd([]byte(text[:from]), 0); got != 0 && got != want {
				t.Errorf("headEnd(%q) = %d", text[:from], got)
			}
			if got := headEnd([]byte(text), from); want > 0 && from < want && got != want {
				t.Errorf("headEnd(%q, %d) = %d, want %d", text, from, got, want)
			}
		}
	}
}

func FuzzHead(f *testing.F) {
	f.Add("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
	f.Add("POST /x HTTP/1.0\nContent-Length: 5\n\thm\n\n")
	f.Fuzz(func(t *testing.T, text string) {
		var h head
		if h.parse(text, defaults()) != nil {
			return
		}
		for _, field := range h.fields {
			if !runtime.ValidFieldValue(field.Value) || strings.ContainsAny(field.Name, " :\r\n") {
				t.Errorf("field %q got through", field)
			}
		}
		if h.contentLength < -1 {
			t.Errorf("length %d", h.contentLength)
		}
	})
}
