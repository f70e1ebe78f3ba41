package tests

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"luaserve/tests/backend"
)

var protocols = []backend.Protocol{backend.FCGI, backend.SCGI, backend.HTTP}

// fault is a row of the matrix: what a backend does wrong, what the client gets, what the log says.
type fault struct {
	name string

	// What the backend sends when it has read the request. A protocol that is not mentioned does
	// not know the fault.
	cgi              string                    // output of an application, over FastCGI and SCGI
	fcgi, scgi, http string                    // bytes
	then             ending                    // what follows
	address          func(t *testing.T) string // in place of all that: where there is no backend
	options          string                    // of the action
	request          string                    // "" is a GET

	status int
	body   string // what arrives of it; "" with a status from 500 on is the page of the server
	header string // that arrives, or -Name for one that does not
	cut    bool   // the client can tell that the body is not complete
	log    string // matches the one line about the request; "" means that there is none
}

// ending is what a backend does behind what it sends.
type ending int

const (
	ends    ending = iota // completes the answer and waits for the next request
	closes                // closes the connection, over FastCGI without END_REQUEST
	resets                // resets it
	hangs                 // does nothing any more
	ignores               // does not even read the request
)

const (
	silent  = "(nothing)" // a backend sends nothing
	ok      = "HTTP/1.1 200 OK\r\n"
	chunked = ok + "Transfer-Encoding: chunked\r\n\r\n"
	gone    = ": the (backend|upstream) closed the connection before the end"
	slow    = "read_timeout = 0.5" // longer than a busy machine keeps a backend from answering
)

var (
	long   = strings.Repeat("x", 60_000)
	large  = strings.Repeat("x", 8<<20)
	upload = fmt.Sprintf("POST /fault HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n%s", len(large), large)
	head   = "HEAD /fault HTTP/1.1\r\nHost: a\r\n\r\n"

	otherID   = backend.Record(6, 2, "X: y\n\nabc")
	oldRecord = "\x00" + backend.Stdout("X: y\n\nabc")[1:]
)

// The statuses are those of RFC 9110, 15.6.3 to 15.6.5. Where the head is out already the
// connection is cut instead.
var faults = []fault{
	// nobody there
	{name: "refused", address: refusing, status: 503, log: "dial: connect: connection refused"},
	{name: "socket left behind", address: leftSocket, status: 503, log: "dial: connect: connection refused"},
	{name: "missing socket", address: missingSocket, status: 503, log: "dial: connect: no such file"},

	// too slow
	{name: "the request is not taken", cgi: silent, http: silent, then: ignores, options: "send_timeout = 0.05", request: upload, status: 504, log: "send: no progress"},
	{name: "the head never comes", cgi: silent, http: silent, then: hangs, options: slow, status: 504, log: "head: no progress"},
	{name: "the head does not end", cgi: "X: y\nX", http: ok + "X", then: hangs, options: slow, status: 504, log: "head: no progress"},
	{name: "the body stops", cgi: "Content-Length: 9\n\nabc", http: ok + "Content-Length: 9\r\n\r\nabc", then: hangs, options: slow, status: 200, body: "abc", cut: true, log: "body: no progress"},
	{name: "the body of unknown length stops", cgi: "X: y\n\nabc", http: chunked + "3\r\nabc\r\n", then: hangs, options: slow, status: 200, body: "abc", cut: true, log: "body: no progress"},
	{name: "END_REQUEST never comes", fcgi: backend.Stdout("X: y\n\nabc") + backend.Stdout(""), then: hangs, options: slow, status: 200, body: "abc", cut: true, log: "body: no progress"},

	// gone
	{name: "no answer", cgi: silent, http: silent, then: closes, status: 502, log: "head" + gone},
	{name: "gone in the head", cgi: "X: y\nX", http: ok + "X", then: closes, status: 502, log: "head" + gone},
	{name: "gone in the body", cgi: "Content-Length: 9\n\nabc", http: ok + "Content-Length: 9\r\n\r\nabc", then: closes, status: 200, body: "abc", cut: true, log: "body" + gone},
	{name: "gone in the body of unknown length", fcgi: backend.Stdout("X: y\n\nabc"), http: chunked + "3\r\nabc\r\n", then: closes, status: 200, body: "abc", cut: true, log: "body" + gone},
	{name: "gone in a chunk", http: chunked + "9\r\nabc", then: closes, status: 200, body: "abc", cut: true, log: "body" + gone},
	{name: "gone before END_REQUEST", fcgi: backend.Stdout("X: y\n\nabc") + backend.Stdout(""), then: closes, status: 200, body: "abc", cut: true, log: "body" + gone},
	{name: "gone before END_REQUEST, body complete", fcgi: backend.Stdout("Content-Length: 3\n\nabc") + backend.Stdout(""), then: closes, status: 200, body: "abc", log: "body" + gone},
	{name: "gone in a record", fcgi: backend.Stdout("X: y\n\nabc" + long)[:1000], then: closes, status: 200, body: "abc" + long[:1000-8-len("X: y\n\nabc")], cut: true, log: "body" + gone},
	{name: "reset in the head", cgi: "X: y\nX", http: ok + "X", then: resets, status: 502, log: "head: connection lost"},
	{name: "reset in the body", cgi: "X: y\n\nabc", http: ok + "Connection: close\r\n\r\nabc", then: resets, status: 200, body: "abc", cut: true, log: "body: connection lost"},
	{name: "the end of the connection is the end of the body", scgi: "X: y\n\nabc", http: "HTTP/1.0 200 OK\r\n\r\nabc", then: closes, status: 200, body: "abc"},

	// the head
	{name: "head of 70 KB", cgi: strings.Repeat("X: y\n", 14_000) + "\n", http: ok + strings.Repeat("X: yy\r\n", 10_000) + "\r\n", status: 502, log: "head: the response head is larger than 65536 bytes"},
	{name: "header line of 70 KB", cgi: "X: " + long + long[:10_000] + "\n\n", http: ok + "X: " + long + long[:10_000] + "\r\n\r\n", status: 502, log: "head: the response head is larger than 65536 bytes"},
	{name: "header line of 60 KB", cgi: "X: " + long + "\n\nabc", http: ok + "Content-Length: 3\r\nX: " + long + "\r\n\r\nabc", status: 200, header: "X: " + long, body: "abc"},
	{name: "header line of 60 KB, over the limit", cgi: "X: " + long + "\n\nabc", http: ok + "X: " + long + "\r\n\r\n", options: "max_head_bytes = 50000", status: 502, log: "head: the response head is larger than 50000 bytes"},
	{name: "no Content-Type", cgi: "X: y\n\nabc", http: ok + "Content-Length: 3\r\n\r\nabc", status: 200, body: "abc", header: "-Content-Type"},
	{name: "bogus line", cgi: "X: y\nbogus\n\nabc", http: ok + "bogus\r\n\r\n", status: 502, log: "head: .*bogus"},
	{name: "line without a name", cgi: ": y\n\nabc", http: ok + ": y\r\n\r\n", status: 502, log: "head: .*: y"},
	{name: "space before the colon", cgi: "X : y\n\nabc", http: ok + "X : y\r\n\r\n", status: 502, log: "head: .*X "},
	{name: "NUL in a value", cgi: "X: a\x00b\n\nabc", http: ok + "X: a\x00b\r\n\r\n", status: 502, log: "head: .*X"},
	{name: "CR in a value", cgi: "X: a\rY: b\n\nabc", http: ok + "X: a\rY: b\r\n\r\n", status: 502, log: "head: .*X"},
	{name: "Status: 099", cgi: "Status: 099\n\nabc", http: "HTTP/1.1 099 X\r\n\r\n", status: 502, log: "head: .*099"},
	{name: "Status: 100", cgi: "Status: 100\n\nabc", http: "HTTP/1.1 100 X\r\n\r\n", then: closes, status: 502, log: "(head: bad Status|head" + gone + ")"},
	{name: "Status: 101 without being asked", cgi: "Status: 101\n\nabc", http: "HTTP/1.1 101 X\r\n\r\n", status: 502, log: "head: .*101"},
	{name: "Status: 1000", cgi: "Status: 1000\n\nabc", http: "HTTP/1.1 1000 X\r\n\r\n", status: 502, log: "head: .*1000"},
	{name: "Status: abc", cgi: "Status: abc\n\nabc", http: "HTTP/1.1 abc X\r\n\r\n", status: 502, log: "head: .*abc"},
	{name: "status: 404", cgi: "status: 404\n\nabc", status: 404, body: "abc", header: "-status"},
	{name: "not HTTP", http: "220 mail.example.net ESMTP\r\n\r\n", status: 502, log: "head: malformed status line"},
	{name: "HTTP/2", http: "HTTP/2.0 200 OK\r\n\r\n", status: 502, log: "head: .*HTTP/2.0"},
	{name: "endless interim answers", http: strings.Repeat("HTTP/1.1 102 Processing\r\n\r\n", 3000), status: 502, log: "head: the response head is larger than 65536 bytes"},

	// the body and its framing
	{name: "Content-Length: 3x", cgi: "Content-Length: 3x\n\nabc", http: ok + "Content-Length: 3x\r\n\r\nabc", status: 502, log: "head: bad Content-Length"},
	{name: "Content-Length: -3", cgi: "Content-Length: -3\n\nabc", http: ok + "Content-Length: -3\r\n\r\nabc", status: 502, log: "head: bad Content-Length"},
	{name: "Content-Length fields that differ", cgi: "Content-Length: 3\nContent-Length: 4\n\nabc", http: ok + "Content-Length: 3\r\nContent-Length: 4\r\n\r\nabc", status: 502, log: "head: .*Content-Length"},
	{name: "Content-Length fields that are the same", cgi: "Content-Length: 3\nContent-Length: 3\n\nabc", http: ok + "Content-Length: 3\r\nContent-Length: 3\r\n\r\nabc", status: 200, body: "abc"},
	{name: "Transfer-Encoding: gzip", http: ok + "Transfer-Encoding: gzip\r\n\r\nabc", status: 502, log: "head: .*gzip"},
	{name: "Transfer-Encoding from an application", cgi: "Transfer-Encoding: chunked\n\n3\r\nabc\r\n0\r\n\r\n", status: 200, body: "3\r\nabc\r\n0\r\n\r\n"},
	{name: "Transfer-Encoding and Content-Length", http: ok + "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n3\r\nabc\r\n0\r\n\r\n", status: 200, body: "abc", header: "-Content-Length"},
	{name: "bad chunk size", http: chunked + "3\r\nabc\r\nx\r\n", status: 200, body: "abc", cut: true, log: "body: .*chunk"},
	{name: "chunk longer than it says", http: chunked + "3\r\nabcdef\r\n0\r\n\r\n", status: 200, body: "abc", cut: true, log: "body: .*chunk"},
	{name: "gone in the trailer", http: chunked + "3\r\nabc\r\n0\r\nX: y\r\n", then: closes, status: 200, body: "abc", cut: true, log: "body" + gone},
	{name: "bogus trailer", http: chunked + "3\r\nabc\r\n0\r\nbogus\r\n\r\n", status: 200, body: "abc", cut: true, log: "body: .*bogus"},
	{name: "body longer than promised", cgi: "Content-Length: 3\n\nabcdef", http: ok + "Content-Length: 3\r\n\r\nabcdef", status: 200, body: "abc"},
	{name: "204 with a body", cgi: "Status: 204\nContent-Length: 3\n\nabc", http: "HTTP/1.1 204 X\r\nContent-Length: 3\r\n\r\nabc", status: 204, header: "-Content-Length"},
	{name: "304 with a body", cgi: "Status: 304\nContent-Length: 3\n\nabc", http: "HTTP/1.1 304 X\r\nContent-Length: 3\r\n\r\nabc", status: 304},
	{name: "HEAD with a body", cgi: "Content-Length: 3\n\nabc", http: ok + "Content-Length: 3\r\n\r\nabc", request: head, status: 200, header: "Content-Length: 3"},

	// FastCGI
	{name: "another request's id", fcgi: otherID + backend.EndRequest(0), status: 502, log: "head: record with request id 2, expected 1"},
	{name: "another request's id in the body", fcgi: backend.Stdout("X: y\n\nabc") + otherID + backend.EndRequest(0), status: 502, log: "body: record with request id 2, expected 1"},
	{name: "FastCGI version 0", fcgi: oldRecord + backend.EndRequest(0), status: 502, log: "head: record of FastCGI version 0, expected 1"},
	{name: "unknown record", fcgi: backend.Record(99, 1, "abc"), status: 502, log: "head: unexpected record of type 99"},
	{name: "not FastCGI", fcgi: "HTTP/1.1 400 Bad Request\r\n\r\n", status: 502, log: "head: record of FastCGI version 72, expected 1"},
	{name: "no head", fcgi: backend.EndRequest(0), status: 502, log: "head: the application ended the request without a response head"},
	{name: "overloaded", fcgi: backend.EndRequest(2), status: 503, log: "head: the application is overloaded"},
	{name: "overloaded in the body", fcgi: backend.Stdout("X: y\n\nabc") + backend.EndRequest(2), status: 502, log: "body: the application is overloaded"},
	{name: "cannot multiplex", fcgi: backend.EndRequest(1), status: 502, log: "head: the application refused: it cannot multiplex"},
	{name: "unknown role", fcgi: backend.EndRequest(3), status: 502, log: "head: the application does not know the role"},
}

// TestFaults is the matrix of what backends do wrong. Behind each fault the backend answers again
// as it should, and the client gets that answer and no other.
func TestFaults(t *testing.T) {
	for _, f := range faults {
		t.Run(f.name, func(t *testing.T) {
			t.Parallel()
			for _, protocol := range protocols {
				if answer, ok := f.answer(protocol); ok {
					t.Run(string(protocol), func(t *testing.T) { f.run(t, protocol, answer) })
				}
			}
		})
	}
}

// answer is what a backend sends, and whether its protocol knows the fault.
func (f *fault) answer(protocol backend.Protocol) (bytes string, ok bool) {
	switch protocol {
	case backend.FCGI:
		bytes = f.fcgi
		if f.cgi != "" && f.cgi != silent {
			bytes = backend.Stdout(f.cgi)
			if f.then == ends {
				bytes += backend.Stdout("") + backend.EndRequest(0)
			}
			return bytes, true
		}
		if f.cgi != "" {
			bytes = f.cgi
		}
	case backend.SCGI:
		bytes = f.scgi + f.cgi
	default:
		bytes = f.http
	}
	return strings.TrimPrefix(bytes, silent), bytes != "" || f.address != nil
}

// run serves a site with the backend of a protocol and asks it.
func (f *fault) run(t *testing.T, protocol backend.Protocol, answer string) {
	var address string
	if f.address != nil {
		address = f.address(t)
	} else {
		address = f.backend(t, protocol, answer)
	}
	log := &logBuffer{}
	port := serveScript(t, log, fmt.Sprintf("%s { socket = %q, %s }", protocol, address, f.options))

	c, err := dial(port)
	if err != nil {
		t.Fatal(err)
	}
	defer c.conn.Close()
	request := f.request
	if request == "" {
		request = "GET /fault HTTP/1.1\r\nHost: a\r\n\r\n"
	}
	go c.send([]byte(request))
	f.checkAnswer(t, c.readAnswer(methodOf(request)))
	f.checkLog(t, log, strings.TrimPrefix(address, "unix:"))
	if f.cut {
		wantCutToOld(t, port)
	}
	if f.address == nil {
		wantFine(t, c, port)
	}
}

// backend starts a backend that answers /fault with the fault and everything else as it should.
func (f *fault) backend(t *testing.T, protocol backend.Protocol, answer string) (address string) {
	t.Helper()
	network, at := "unix", shortDir(t)+"/s"
	address = "unix:" + at
	if f.then == resets || protocol == backend.HTTP {
		network, at = "tcp", "127.0.0.1:0"
	}
	l, err := net.Listen(network, at)
	if err != nil {
		t.Fatal(err)
	}
	if network == "tcp" {
		address = l.Addr().String()
	}
	var ignored atomic.Bool
	b := backend.Serve(l, protocol, func(p *backend.Peer) {
		if f.then == ignores && !ignored.Swap(true) {
			p.Ignore()
			return
		}
		for more := true; more; {
			r, err := p.Receive(io.Discard)
			if err != nil {
				return
			}
			if r.Target != "/fault" {
				p.Begin(4)
				p.Piece("fine")
				more = p.End()
				continue
			}
			p.Send(answer)
			switch f.then {
			case ends:
				more = p.Protocol != backend.SCGI
			case resets:
				p.Reset()
			case hangs:
				p.Hang()
			}
			more = more && f.then == ends
		}
	})
	t.Cleanup(b.Close)
	return address
}

func (f *fault) checkAnswer(t *testing.T, a *answer) {
	t.Helper()
	if a.timeout || a.malformed != "" || a.status != f.status || a.truncated != f.cut {
		t.Fatalf("got %s, cut: %v, timeout: %v; want %d, cut: %v", a.describe(), a.truncated, a.timeout, f.status, f.cut)
	}
	if f.body == "" && f.status >= 500 {
		if want := fmt.Sprintf("<h1>%d - %s</h1>", f.status, http.StatusText(f.status)); !strings.Contains(string(a.body), want) {
			t.Errorf("got the page %.200q", a.body)
		}
	} else if string(a.body) != f.body {
		t.Errorf("got the body %.200q, want %.200q", a.body, f.body)
	}
	name, value, has := strings.Cut(f.header, ": ")
	if got := a.values(strings.TrimPrefix(name, "-")); has && (len(got) != 1 || got[0] != value) || !has && got != nil {
		t.Errorf("got the header %.200q, want %.200q", got, f.header)
	}
}

// checkLog wants one line about the request, which names the backend and the reason. It may come
// a moment behind an answer that is complete.
func (f *fault) checkLog(t *testing.T, log *logBuffer, address string) {
	t.Helper()
	lines := noticed(log)
	for end := time.Now().Add(limit); f.log != "" && len(lines) == 0 && time.Now().Before(end); lines = noticed(log) {
		time.Sleep(time.Millisecond)
	}
	switch {
	case f.log == "":
		if len(lines) > 0 {
			t.Errorf("got the log %.500q", lines)
		}
	case len(lines) != 1 || !strings.HasPrefix(lines[0], "ERROR ") || !strings.Contains(lines[0], "path=/fault") ||
		!strings.Contains(lines[0], address) || !regexp.MustCompile(f.log).MatchString(lines[0]):
		t.Errorf("got the log %.500q, want a line with %s and %q", lines, address, f.log)
	}
}

// noticed are the lines of a log that are no debug messages.
func noticed(log *logBuffer) (lines []string) {
	for line := range strings.Lines(log.String()) {
		if !strings.HasPrefix(line, "DEBUG ") {
			lines = append(lines, line)
		}
	}
	return lines
}

// wantCutToOld wants that a HTTP/1.0 client, which knows no chunks, can tell as well.
func wantCutToOld(t *testing.T, port int) {
	t.Helper()
	c, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(time.Minute))
	io.WriteString(c, "GET /fault HTTP/1.0\r\n\r\n")
	got, err := io.ReadAll(c)
	length := strings.Contains(string(got), "\r\nContent-Length: ") // which is more than what came
	if err == nil && !length || os.IsTimeout(err) {
		t.Errorf("HTTP/1.0: got %q, %v", got, err)
	}
}

// wantFine wants the backend's next answer, over the same connection unless the server closed it.
// Where the machine kept the backend for longer than its timeout it is asked once more.
func wantFine(t *testing.T, c *client, port int) {
	t.Helper()
	const request = "GET /fine HTTP/1.1\r\nHost: a\r\n\r\n"
	c.send([]byte(request))
	a := c.readAnswer("GET")
	for tries := 0; a.noResponse && tries == 0 || a.status == http.StatusGatewayTimeout && tries < 5; tries++ {
		next, err := dial(port)
		if err != nil {
			t.Fatal(err)
		}
		defer next.conn.Close()
		next.send([]byte(request))
		a = next.readAnswer("GET")
	}
	if a.status != 200 || string(a.body) != "fine" {
		t.Errorf("behind the fault: got %s, %.200q", a.describe(), a.body)
	}
}

// serveScript serves actions until the test ends.
func serveScript(t *testing.T, log io.Writer, actions string) (port int) {
	t.Helper()
	port = freePort(t)
	config := shortDir(t) + "/site.lua"
	if err := os.WriteFile(config, fmt.Appendf(nil, "setup.listen \"127.0.0.1:%d\"\nactions = %s\n", port, actions), 0o600); err != nil {
		t.Fatal(err)
	}
	stop, err := startSite(t, config, log)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := stop(); err != nil {
			t.Error(err)
		}
	})
	return port
}

func refusing(t *testing.T) (address string) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	return l.Addr().String()
}

func leftSocket(t *testing.T) (address string) {
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: shortDir(t) + "/s", Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false)
	l.Close()
	return "unix:" + l.Addr().String()
}

func missingSocket(t *testing.T) (address string) { return "unix:" + shortDir(t) + "/none" }
