package backend

import (
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"time"
)

// start runs a backend in a directory with a short path, as sockets need.
func start(t *testing.T) *Backend {
	t.Helper()
	dir, err := os.MkdirTemp("", "be")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	b, err := Start(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Close)
	return b
}

// talk sends in and returns everything up to the close.
func talk(t *testing.T, addr, in string) string {
	t.Helper()
	network, path := "tcp", addr
	if p, ok := strings.CutPrefix(addr, "unix:"); ok {
		network, path = "unix", p
	}
	c, err := net.Dial(network, path)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(c, in); err != nil {
		t.Fatal(err)
	}
	out, err := io.ReadAll(c)
	if err != nil {
		t.Fatalf("after %q: %v", out, err)
	}
	return string(out)
}

func pairs(kv ...string) string {
	var out []byte
	for _, s := range kv {
		out = binary.BigEndian.AppendUint32(out, uint32(len(s))|1<<31)
		if len(s) < 128 {
			out = append(out[:len(out)-4], byte(len(s)))
		}
	}
	return string(out) + strings.Join(kv, "")
}

// fcgiIn is a whole FastCGI request without FCGI_KEEP_CONN.
func fcgiIn(stdin string, kv ...string) string {
	params := ""
	for i := 0; i < len(kv); i += 2 {
		params += pairs(kv[i], kv[i+1])
	}
	return fcgiRecord(fcgiBegin, 1, "\x00\x01\x00\x00\x00\x00\x00\x00") +
		fcgiRecord(fcgiParams, 1, params) + fcgiRecord(fcgiParams, 1, "") +
		fcgiRecord(fcgiStdin, 1, stdin) + fcgiRecord(fcgiStdin, 1, "")
}

func TestFastCGI(t *testing.T) {
	b := start(t)
	long := strings.Repeat("v", 300) // a length of four bytes
	for _, c := range []struct{ query, stdin, want string }{
		{"names=1", "", "Content-Type: text/plain\r\n\r\nZ\nQUERY_STRING\nA\n"},
		{"", "in", "Content-Type: text/plain\r\n\r\nA=" + long + "\nQUERY_STRING=\nZ=1\n--stdin--\nin"},
		{"only=Z,,B", "in", "Content-Type: text/plain\r\n\r\nZ=1\nB=<unset>\n"},
		{"status=404+x%20y&h=X-A:%201&h=X-B:2&ct=&body=", "", "Status: 404+x y\r\nX-A: 1\r\nX-B:2\r\n\r\n"},
		{"xsendfile=/f&cl=1", "", "Content-Type: text/plain\r\nX-Sendfile: /f\r\nContent-Length: 12\r\n\r\nbackend body"},
		{"raw=x%zz%0a", "", "x%zz\n"},
	} {
		in := fcgiIn(c.stdin, "Z", "1", "QUERY_STRING", c.query, "A", long)
		if c.stdin == "" { // the record that ends stdin is there already
			in = in[:len(in)-8]
		}
		want := fcgiRecord(fcgiStdout, 1, c.want) + fcgiRecord(fcgiStdout, 1, "") + fcgiEndRecord(1)
		if got := talk(t, b.FCGI, in); got != want {
			t.Errorf("%s:\n got %q\nwant %q", c.query, got, want)
		}
	}

	// broken ends: no END_REQUEST
	for query, want := range map[string]string{
		"exit=1":                  "",
		"size=x":                  "",
		"halfhdr=1":               fcgiRecord(fcgiStdout, 1, "Content-Ty"),
		"ct=&trunc=5&body=abc":    fcgiRecord(fcgiStdout, 1, "Content-Length: 8\r\n\r\n") + fcgiRecord(fcgiStdout, 1, "abc"),
		"stderr=oops&halfhdr=yes": fcgiRecord(fcgiStderr, 1, "oops") + fcgiRecord(fcgiStdout, 1, "Content-Ty"),
	} {
		if got := talk(t, b.FCGI, fcgiIn("in", "QUERY_STRING", query)); got != want {
			t.Errorf("%s:\n got %q\nwant %q", query, got, want)
		}
	}
}

func TestFastCGIKeepsConnection(t *testing.T) {
	b := start(t)
	keep := func(query string) string {
		in := []byte(fcgiIn("in", "QUERY_STRING", query))
		in[10] = 1 // FCGI_KEEP_CONN
		return string(in)
	}
	abort := fcgiRecord(fcgiBegin, 7, "\x00\x01\x01\x00\x00\x00\x00\x00") + fcgiRecord(fcgiAbort, 7, "")
	answer := func(body string) string {
		return fcgiRecord(fcgiStdout, 1, "\r\n\r\n"+body) + fcgiRecord(fcgiStdout, 1, "") + fcgiEndRecord(1)
	}
	got := talk(t, b.FCGI, keep("ct=&body=a")+abort+fcgiIn("in", "QUERY_STRING", "ct=&body=b"))
	if want := answer("a") + fcgiEndRecord(7) + answer("b"); got != want {
		t.Errorf("got %q\nwant %q", got, want)
	}
}

func TestSCGI(t *testing.T) {
	b := start(t)
	for query, want := range map[string]string{
		"":                           "Content-Type: text/plain\r\n\r\nCONTENT_LENGTH=2\nQUERY_STRING=\nREMOTE_PORT=<port>\n--stdin--\nin",
		"stdinlen=1&status=201":      "Status: 201\r\nContent-Type: text/plain\r\n\r\n2",
		"chunks=3&body=abcdefgh":     "Content-Type: text/plain\r\n\r\nabcdefgh",
		"bodydelay=0.05&cl=1&size=3": "Content-Type: text/plain\r\nContent-Length: 3\r\n\r\nxxx",
		"halfhdr=1":                  "Content-Ty",
		"exit=1":                     "",
		"raw=X:%20y%0d%0a%0d%0a&x=1": "X: y\r\n\r\n",
	} {
		head := "CONTENT_LENGTH\x002\x00REMOTE_PORT\x001234\x00QUERY_STRING\x00" + query + "\x00"
		got := talk(t, b.SCGI, fmt.Sprintf("%d:%s,in", len(head), head))
		if got != want {
			t.Errorf("%s:\n got %q\nwant %q", query, got, want)
		}
	}
}

func TestHTTP(t *testing.T) {
	b := start(t)
	const post = "POST %s HTTP/1.1\r\nhost: h\r\nX-b:  2 \r\n"
	for _, c := range []struct{ head, query, body, want string }{
		{post + "Connection: close\r\nContent-Length: 2\r\n\r\n", "only=:method,:target,X-b,host", "in",
			"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 67\r\n\r\n:method=POST\n:target=/p?only=:method,:target,X-b,host\nX-b=2\nhost=h\n"},
		{post + "connection: Close\r\nTransfer-Encoding: chunked\r\n\r\n", "stdin=1&te=1", "2;ext\r\nab\r\n1\r\nc\r\n0\r\n\r\n",
			"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"},
		{post + "\r\n", "http10=1&status=404&ct=&body=b", "", "HTTP/1.0 404 X\r\n\r\n\r\nb"},
		{post + "Connection: close\r\n\r\n", "status=304", "", "HTTP/1.1 304 X\r\nContent-Type: text/plain\r\n\r\n"},
		{post + "\r\n", "trunc=2&body=ab", "", "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 4\r\n\r\nab"},
		{"HEAD %s HTTP/1.0\r\n\r\n", "body=ab", "", "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\n"},
		{post + "\r\n", "raw=any", "", "any"},
		{post + "\r\n", "halfhdr=1", "", "HTTP/1.1 200 OK\r\nContent-Ty"},
	} {
		got := talk(t, b.HTTP, fmt.Sprintf(c.head, "/p?"+c.query)+c.body)
		if got != c.want {
			t.Errorf("%s:\n got %q\nwant %q", c.query, got, c.want)
		}
	}
}

func TestDelays(t *testing.T) {
	b := start(t)
	begin := time.Now()
	talk(t, b.FCGI, fcgiIn("in", "QUERY_STRING", "delay=0.1&bodydelay=0.1&chunks=3&body=abc"))
	if d := time.Since(begin); d < 260*time.Millisecond {
		t.Errorf("took %v, want 0.1 s + 0.1 s + 3 pauses of 20 ms", d)
	}
}

func TestCloseEndsSleeps(t *testing.T) {
	b := start(t)
	c, err := net.Dial("tcp", b.HTTP)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := io.WriteString(c, "GET /?delay=60 HTTP/1.1\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	time.Sleep(20 * time.Millisecond) // let it fall asleep
	begin := time.Now()
	b.Close()
	b.Close() // twice is fine
	if d := time.Since(begin); d > 50*time.Second {
		t.Errorf("Close took %v", d)
	}
	if _, err := net.Dial("tcp", b.HTTP); err == nil {
		t.Error("still listening")
	}
}
