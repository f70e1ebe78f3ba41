package tests

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/pires/go-proxyproto"

	"luaserve/tests/pki"
)

const behindProxy = `
	setup.listen { "$A", "unix:$DIR/s" }
	setup.openssl { listen = "$B", pemfile = "$DIR/site.pem" }
	$TRUST
	actions = {
		$ACTION
		when(request.path:eq "/app", fastcgi "$FCGI"),
		when(request.path:eq "/large", { docroot "$DIR", static() }),
		respond "%{req.remoteip} %{req.remoteport} %{req.localip} %{req.localport}",
	}`

func startBehindProxy(t *testing.T, trust, action string) (r *running, dir string, ca *pki.Certificate) {
	t.Helper()
	b := startBackend(t)
	dir = shortDir(t)
	ca = pki.Authority(t, "CA")
	ca.Server(t, "site.example").Write(t, dir+"/site.pem")
	if err := writeOld(dir+"/large", []byte(strings.Repeat("0123456789abcdef", 1<<16))); err != nil {
		t.Fatal(err)
	}
	return run(t, strings.NewReplacer("$DIR", dir, "$FCGI", b.FCGI, "$TRUST", trust, "$ACTION", action).Replace(behindProxy)), dir, ca
}

// proxyHeader is what a load balancer sends for a client at 198.51.100.1.
func proxyHeader(version byte) *proxyproto.Header {
	return proxyproto.HeaderProxyFromAddrs(version,
		net.TCPAddrFromAddrPort(netip.MustParseAddrPort("198.51.100.1:1234")), net.TCPAddrFromAddrPort(netip.MustParseAddrPort("198.51.100.2:443")))
}

// behind has the connections of a client begin with a header, or with none.
func behind(client *http.Client, header *proxyproto.Header) *http.Client {
	transport := client.Transport.(*http.Transport)
	dial := transport.DialContext
	transport.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
		c, err := dial(ctx, network, addr)
		if err == nil && header != nil {
			_, err = header.WriteTo(c)
		}
		return c, err
	}
	return client
}

func TestProxyProtocol(t *testing.T) {
	const proxied = "198.51.100.1 1234 198.51.100.2 443"
	for name, c := range map[string]struct{ trust, action string }{
		"setup":  {`setup.proxy_protocol.trust { "127.0.0.0/8", "unix:" }`, ""},
		"action": {"", `when(request.remoteip:eq "127.0.0.1", { proxy_protocol.trust() }, { when(request.remoteip:eq "", { proxy_protocol.trust() }) }),`},
	} {
		t.Run(name, func(t *testing.T) {
			r, dir, ca := startBehindProxy(t, c.trust, c.action)
			for _, version := range []byte{1, 2} {
				for what, client := range map[string]*http.Client{
					"http":  tlsClient(t, r.addr(0), nil, false),
					"https": tlsClient(t, r.addr(2), trusting(ca.Pool()), false),
					"h2":    tlsClient(t, r.addr(2), trusting(ca.Pool()), true),
					"unix":  unixClient(t, dir+"/s"),
				} {
					origin := "http://site.example"
					if what == "https" || what == "h2" {
						origin = "https://site.example"
					}
					behind(client, proxyHeader(version))
					for i := range 2 { // twice over one connection
						if body, _ := mustFetch(t, client, origin+"/"); body != proxied {
							t.Errorf("%s, version %d, request %d: got %q", what, version, i, body)
						}
					}
					body, _ := mustFetch(t, client, origin+"/app?only=REMOTE_ADDR,REMOTE_PORT,SERVER_ADDR,SERVER_PORT")
					if want := "REMOTE_ADDR=198.51.100.1\n"; !strings.Contains(body, want) {
						t.Errorf("%s, version %d: the application got\n%s", what, version, body)
					}
					if body, _ := mustFetch(t, client, origin+"/large"); len(body) != 1<<20 || strings.Count(body, "0123456789abcdef") != 1<<16 {
						t.Errorf("%s, version %d: a file of %d bytes", what, version, len(body))
					}
				}
			}
		})
	}
}

// Load balancers in use speak as ours do.
func TestProxyProtocolOfCurl(t *testing.T) {
	r, _, _ := startBehindProxy(t, `setup.proxy_protocol.trust "127.0.0.1"`, "")
	_, port, _ := net.SplitHostPort(r.addr(0))
	got := output(t, "curl", "-sS", "--haproxy-protocol", "http://"+r.addr(0)+"/")
	if !strings.HasPrefix(got, "127.0.0.1 ") || !strings.HasSuffix(got, " 127.0.0.1 "+port) {
		t.Errorf("got %q", got)
	}
}

// A header counts from trusted peers only, and those must send one.
func TestProxyProtocolIsRefused(t *testing.T) {
	trusted, _, ca := startBehindProxy(t, `setup.proxy_protocol.trust "127.0.0.1"`, "proxy_protocol.trust(),")
	others, _, otherCA := startBehindProxy(t, `setup.proxy_protocol.trust "10.0.0.0/8"`, "proxy_protocol.trust(),")
	none, _, _ := startBehindProxy(t, "", "")
	asked, _, _ := startBehindProxy(t, "", `when(request.remoteip:ip "10.0.0.0/8", { proxy_protocol.trust() }),`)

	for name, client := range map[string]*http.Client{
		"trusted, without a header":           tlsClient(t, trusted.addr(0), nil, false),
		"trusted, without a header, over TLS": tlsClient(t, trusted.addr(2), trusting(ca.Pool()), true),
		"not trusted, over TLS":               behind(tlsClient(t, others.addr(2), trusting(otherCA.Pool()), false), proxyHeader(1)),
	} {
		origin := "http://site.example/"
		if strings.HasSuffix(name, "TLS") {
			origin = "https://site.example/"
		}
		if body, _, err := fetch(client, origin); err == nil {
			t.Errorf("%s: got %q", name, body)
		}
	}
	for name, r := range map[string]*running{"not trusted": others, "nobody is trusted": none} {
		for _, version := range []byte{1, 2} {
			resp, err := behind(tlsClient(t, r.addr(0), nil, false), proxyHeader(version)).Get("http://site.example/")
			if err != nil || resp.StatusCode != http.StatusBadRequest {
				t.Errorf("%s, version %d: got %v, %v", name, version, resp, err)
			}
		}
		if body, _ := mustFetch(t, tlsClient(t, r.addr(0), nil, false), "http://site.example/"); !strings.HasPrefix(body, "127.0.0.1 ") {
			t.Errorf("%s, without a header: got %q", name, body)
		}
	}
	if body, _ := mustFetch(t, behind(tlsClient(t, asked.addr(0), nil, false), proxyHeader(2)), "http://site.example/"); !strings.HasPrefix(body, "127.0.0.1 ") {
		t.Errorf("a header that the script does not trust counts: %q", body)
	}
	waitFor(t, "a line in the log", func() bool {
		return strings.Contains(trusted.log.String(), "no PROXY header from a peer that must send one") &&
			strings.Contains(others.log.String(), "INFO no TLS connection error=a PROXY header from a peer that proxy_protocol.trust does not name")
	})
	if !strings.Contains(none.log.String(), "a PROXY header from a peer that proxy_protocol.trust does not name") {
		t.Errorf("the log does not say why:\n%s", none.log)
	}
}

// A health check without an address is answered, one of a load balancer that says nothing
// ends without a word, and further data is bounded.
func TestProxyProtocolOddities(t *testing.T) {
	r, _, _ := startBehindProxy(t, "setup.proxy_protocol.trust '127.0.0.1'\nsetup.proxy_protocol.tlv_max_length(8)", "")
	ask := func(header string) string {
		t.Helper()
		c, err := net.Dial("tcp", r.addr(0))
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		c.SetDeadline(time.Now().Add(20 * time.Second))
		fmt.Fprintf(c, "%sGET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", header)
		resp, err := http.ReadResponse(bufio.NewReader(c), nil)
		if err != nil {
			return ""
		}
		body, _ := io.ReadAll(resp.Body)
		return string(body)
	}
	const signature = "\r\n\r\n\x00\r\nQUIT\n"
	addresses := "\xc6\x33\x64\x01\xc6\x33\x64\x02\x04\xd2\x01\xbb"
	for name, c := range map[string]struct{ header, want string }{
		"local":            {signature + "\x20\x00\x00\x00", "127.0.0.1 "},
		"unknown":          {"PROXY UNKNOWN\r\n", "127.0.0.1 "},
		"further data":     {signature + "\x21\x11\x00\x14" + addresses + "\x04\x00\x05xxxxx", "198.51.100.1 "},
		"too much of it":   {signature + "\x21\x11\x00\x15" + addresses + "\x04\x00\x06xxxxxx", ""},
		"nonsense":         {"PROXY TCP4 nonsense\r\n", ""},
		"two headers":      {"PROXY UNKNOWN\r\nPROXY UNKNOWN\r\n", "<!DOCTYPE html>"},
		"half a signature": {"PROX", ""},
	} {
		if got := ask(c.header); !strings.HasPrefix(got, c.want) || c.want == "" && got != "" {
			t.Errorf("%s: got %q, want %q…", name, got, c.want)
		}
	}
}
