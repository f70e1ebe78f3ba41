package http1

import (
	"bufio"
	"bytes"
	"io"
	"log/slog"
	"net/http"
	"net/textproto"
	"net/url"
	"reflect"
	"strings"
	"testing"

	"luaserve/runtime"
)

// received is a request as a server understood it.
type received struct {
	method, target, proto, host string
	header                      http.Header
	body                        string
}

// FuzzAgainstNetHTTP gives the same bytes to this server and to net/http. Each request that is
// accepted here must be accepted there, be the same one, and end at the same byte: two servers in
// a row must not see different requests. Refusing more than net/http is fine.
func FuzzAgainstNetHTTP(f *testing.F) {
	const post = "POST / HTTP/1.1\r\nHost: a\r\n"
	const next = "GET /next HTTP/1.1\r\nHost: b\r\n\r\n"
	for _, seed := range []string{
		"GET /a?b=%20 HTTP/1.1\r\nHost: a\r\nX-Y: z\r\nx-y:  q \r\n\r\n",
		"GET http://h/p HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
		post + "Content-Length: 3\r\n\r\nabc",
		post + "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
		post + "Content-Length: 3\r\nContent-Length: 3\r\n\r\nabc",
		post + "Content-Length: +3\r\n\r\nabc",
		post + "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
		post + "Transfer-Encoding: chunked\r\n\r\n3;x=y\r\nabc\r\n0\r\nA: b\r\n\r\n",
		post + "Transfer-Encoding: chunked\r\n\r\n0003\r\nabc\r\nA\r\n0123456789\r\n0\r\nA: b\r\nC: d\r\n\r\n",
		post + "Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
		post + "Transfer-Encoding:\tchunked\r\n\r\n0\r\n\r\n",
		post + "X: a\r\n\tb\r\n c\r\nContent-Length: 1\r\n\r\nx",
		post + "X: \"a\\\" b\"\r\nContent-Length: 0\r\n\r\n",
		post + "X: a\rb\r\n\r\n",
		"GET / HTTP/1.1\nHost: a\n\n",
		"\r\n\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
		post + "Expect: 100-continue\r\nContent-Length: 2\r\n\r\nab",
		"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n",
	} {
		f.Add([]byte(seed + next))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		there := bufio.NewReader(bytes.NewReader(in))
		for i, here := range serveBytes(in) {
			if !comparable(here) {
				return
			}
			want, err := readAsNetHTTP(there)
			if err != nil {
				t.Fatalf("request %d of %q is refused by net/http: %v\nhere it is %q", i, in, err, here)
			}
			if !reflect.DeepEqual(here, want) {
				t.Fatalf("request %d of %q:\nhere     %q\nnet/http %q", i, in, here, want)
			}
		}
	})
}

// serveBytes returns the requests that this server accepts, up to the first that is not complete.
func serveBytes(in []byte) (all []received) {
	broken := false
	s := New(Config{Log: slog.New(slog.DiscardHandler), Handle: func(ex runtime.Exchange) *runtime.Reply {
		r := received{method: ex.Method(), target: ex.Target(), proto: ex.Proto(), host: ex.Host(), header: http.Header{}}
		ex.EachHeader(func(name, value string) { r.header.Add(name, strings.Trim(value, " \t")) })
		if body := ex.Body(); body != nil {
			text, err := io.ReadAll(body)
			r.body = string(text)
			broken = broken || err != nil
		}
		if !broken {
			all = append(all, r)
		}
		return runtime.NewReply(http.StatusNoContent, 0, nil)
	}})
	s.ServeConn(&memConn{in: bytes.NewReader(in)}, runtime.Connection{}, nil)
	for _, r := range all {
		forget(r.header)
	}
	return all
}

// readAsNetHTTP reads the next request, behind empty lines, with its body.
func readAsNetHTTP(in *bufio.Reader) (received, error) {
	for {
		if c, err := in.Peek(1); err != nil || c[0] != '\r' && c[0] != '\n' {
			break
		}
		in.Discard(1)
	}
	req, err := http.ReadRequest(in)
	if err != nil {
		return received{}, err
	}
	body, err := io.ReadAll(req.Body)
	if err != nil {
		return received{}, err
	}
	forget(req.Header)
	return received{req.Method, req.RequestURI, req.Proto, req.Host, trimmed(req.Header), string(body)}, nil
}

// forget drops the fields that net/http takes out, or adds.
func forget(h http.Header) {
	for _, name := range []string{"Host", "Transfer-Encoding", "Pragma", "Cache-Control"} {
		h.Del(name)
	}
}

func trimmed(h http.Header) http.Header {
	for _, values := range h {
		for i, v := range values {
			values[i] = strings.Trim(v, " \t")
		}
	}
	return h
}

// comparable reports whether net/http would take the request as such. It refuses names with bytes
// above 127, which lighttpd2 takes, and looks into targets and Trailer fields, which is done
// elsewhere here.
func comparable(r received) bool {
	if r.method == "CONNECT" || !strings.HasPrefix(r.target, "/") || r.header.Get("Trailer") != "" {
		return false
	}
	if _, err := url.ParseRequestURI(r.target); err != nil {
		return false
	}
	for name := range r.header {
		if name != textproto.CanonicalMIMEHeaderKey(name) || strings.ContainsFunc(name, func(c rune) bool { return c >= 0x80 }) {
			return false
		}
	}
	return true
}
