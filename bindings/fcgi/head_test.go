package fcgi

import (
	"slices"
	"strings"
	"testing"

	"luaserve/bindings/upstream"
)

func TestParseHead(t *testing.T) {
	long := strings.Repeat("v", 60_000)
	tests := []struct {
		name   string
		in     string
		status int
		fields []Field
		length int64
	}{
		{"lf", "A: 1\nB: 2\n\n", 200, []Field{{"A", "1"}, {"B", "2"}}, -1},
		{"crlf", "A: 1\r\nB: 2\r\n\r\n", 200, []Field{{"A", "1"}, {"B", "2"}}, -1},
		{"mixed", "A: 1\nB: 2\r\n\n", 200, []Field{{"A", "1"}, {"B", "2"}}, -1},
		{"empty", "\r\n", 200, nil, -1},
		{"order, case, duplicates", "set-cookie: a\nX: y\nSet-Cookie: b\n\n", 200,
			[]Field{{"set-cookie", "a"}, {"X", "y"}, {"Set-Cookie", "b"}}, -1},
		{"space around values", "A:1\nB: \t 2 \t\nC:\nD:   \n\n", 200, []Field{{"A", "1"}, {"B", "2"}, {"C", ""}, {"D", ""}}, -1},
		{"tab and high bytes inside", "A: a\tb\xff\n\n", 200, []Field{{"A", "a\tb\xff"}}, -1},
		{"status", "Status: 404 Not Found\nA: 1\n\n", 404, []Field{{"A", "1"}}, -1},
		{"status in lower case", "status: 404\n\n", 404, nil, -1},
		{"status in upper case, no reason", "STATUS:999\n\n", 999, nil, -1},
		{"status last", "A: 1\nStatus: 200 \n\n", 200, []Field{{"A", "1"}}, -1},
		{"location", "Location: http://h/x\n\n", 302, []Field{{"Location", "http://h/x"}}, -1},
		{"local location", "location: /x\n\n", 302, []Field{{"location", "/x"}}, -1},
		{"location and status", "Location: /x\nStatus: 201\n\n", 201, []Field{{"Location", "/x"}}, -1},
		{"empty location", "Location:\n\n", 200, []Field{{"Location", ""}}, -1},
		{"length", "Content-length: 0017\n\n", 200, []Field{{"Content-length", "0017"}}, 17},
		{"length twice", "Content-Length: 5\ncontent-length: 5\n\n", 200, []Field{{"Content-Length", "5"}}, 5},
		{"length with 204", "Content-Length: 5\nA: 1\nStatus: 204\n\n", 204, []Field{{"A", "1"}}, -1},
		{"length with 304", "Content-Length: 5\nStatus: 304\n\n", 304, []Field{{"Content-Length", "5"}}, 5},
		{"hop by hop", "Connection: close\nTransfer-Encoding: chunked\nKEEP-ALIVE: 1\nproxy-connection: x\nA: 1\n\n", 200,
			[]Field{{"A", "1"}}, -1},
		{"long line", "A: " + long + "\n\n", 200, []Field{{"A", long}}, -1},
	}
	for _, tt := range tests {
		h, err := parseHead(tt.in, nil)
		if err != nil {
			t.Errorf("%s: %v", tt.name, err)
			continue
		}
		if h.status != tt.status || h.length != tt.length || !slices.Equal(h.fields, tt.fields) {
			t.Errorf("%s: got %.200v", tt.name, h)
		}
	}
}

func TestBadHead(t *testing.T) {
	tests := []struct{ in, want string }{
		{"no colon\n\n", "header line without a colon"},
		{": x\n\n", "without a name"},
		{"A b: x\n\n", "header name with byte 0x20"},
		{"A : x\n\n", "header name with byte 0x20"},
		{" folded: x\n\n", "header name with byte 0x20"},
		{"A: 1\n\tmore\n\n", "without a colon"},
		{"\xc3\xa4: x\n\n", "header name with byte 0xc3"},
		{"A: a\x00b\n\n", "control byte 0x00"},
		{"A: a\rb\n\n", "control byte 0x0d"},
		{"A: a\x7f\n\n", "control byte 0x7f"},
		{"HTTP/1.1 404 Not Found\n\n", "without a colon"},
		{"Status: 099\n\n", "bad Status"},
		{"Status: abc\n\n", "bad Status"},
		{"Status: 1000\n\n", "bad Status"},
		{"Status: 20\n\n", "bad Status"},
		{"Status: 200OK\n\n", "bad Status"},
		{"Status: -20\n\n", "bad Status"},
		{"Status:\n\n", "bad Status"},
		{"Status: 200\nStatus: 200\n\n", "more than one Status"},
		{"Content-Length: 5, 5\n\n", "bad Content-Length"},
		{"Content-Length: -5\n\n", "bad Content-Length"},
		{"Content-Length: +5\n\n", "bad Content-Length"},
		{"Content-Length:\n\n", "bad Content-Length"},
		{"Content-Length: 9223372036854775808\n\n", "bad Content-Length"},
		{"Content-Length: 5\nContent-Length: 6\n\n", "that differ: 5 and 6"},
		{strings.Repeat("x", 500) + "\n\n", `xx"...`},
	}
	for _, tt := range tests {
		_, err := parseHead(tt.in, nil)
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%.40q: got %v, want %s", tt.in, err, tt.want)
		}
	}
}

// The end of a head is found wherever the pieces that it comes in are cut.
func TestHeadEnd(t *testing.T) {
	tests := []struct {
		in  string
		end int
	}{
		{"A: 1\n\nbody\n\n", 6},
		{"A: 1\r\n\r\nbody", 8},
		{"A: 1\r\n\nbody", 7},
		{"A: 1\nB: 2\n\r\nbody", 12},
		{"\nbody\n\n", 1},
		{"\r\nbody", 2},
		{"A: 1\n", -1},
		{"A: 1\n\r", -1},
		{"", -1},
	}
	for _, tt := range tests {
		line, got := 0, -1
		for n := 0; n <= len(tt.in) && got < 0; n++ {
			got, line = upstream.HeadEnd([]byte(tt.in[:n]), line)
		}
		whole, _ := upstream.HeadEnd([]byte(tt.in), 0)
		if got != tt.end || whole != tt.end {
			t.Errorf("%q: got %d byte by byte, %d at once, want %d", tt.in, got, whole, tt.end)
		}
	}
}

func TestLocalRedirect(t *testing.T) {
	tests := []struct {
		head, target string
		ok           bool
	}{
		{"Location: /x?y\n\n", "/x?y", true},
		{"Location: //h/x\n\n", "//h/x", false},
		{"Location: http://h/x\n\n", "http://h/x", false},
		{"Status: 302\nLocation: /x\n\n", "", false},
		{"A: 1\n\n", "", false},
	}
	b := startBackend(t, func(p *peer) {
		for {
			r, err := p.request()
			if err != nil {
				return
			}
			p.send(stdout(r.get("HEAD")), end(0))
		}
	})
	c := b.client(t)
	for _, tt := range tests {
		resp, _ := mustFetch(t, c, get(Param{"HEAD", tt.head}))
		if target, ok := resp.LocalRedirect(); target != tt.target || ok != tt.ok {
			t.Errorf("%q: got %q %v", tt.head, target, ok)
		}
	}
}
