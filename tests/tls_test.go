package tests

import (
	"crypto/tls"
	"crypto/x509/pkix"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"luaserve/tests/pki"
)

// The application behind FastCGI is told that the client speaks TLS, over both protocols.
func TestTLSReachesTheApplication(t *testing.T) {
	b := startBackend(t)
	dir := t.TempDir()
	ca := pki.Authority(t, "CA")
	ca.Server(t, "site.example").Write(t, dir+"/site.pem")
	r := run(t, fmt.Sprintf(`
		setup.listen "$A"
		setup.openssl { listen = "$B", pemfile = "%s/site.pem" }
		actions = fastcgi %q`, dir, b.FCGI))
	if urls := r.URLs(); urls[1] != "https://"+r.addr(1) {
		t.Errorf("the URLs are %q", urls)
	}
	const query = "/?only=HTTPS,REQUEST_SCHEME,SERVER_PROTOCOL,SERVER_NAME,SERVER_PORT"
	_, port, _ := net.SplitHostPort(r.addr(1))
	for _, c := range []struct {
		protocol string
		http2    bool
	}{{"HTTP/1.1", false}, {"HTTP/2.0", true}} {
		body, resp := mustFetch(t, tlsClient(t, r.addr(1), trusting(ca.Pool()), c.http2), "https://site.example"+query)
		if resp.Proto != c.protocol {
			t.Errorf("got %s, want %s", resp.Proto, c.protocol)
		}
		for _, want := range []string{"HTTPS=on\n", "REQUEST_SCHEME=https\n", "SERVER_PROTOCOL=" + c.protocol, "SERVER_NAME=site.example\n", "SERVER_PORT=" + port + "\n"} {
			if !strings.Contains(body, want) {
				t.Errorf("%s: %q is missing in %q", c.protocol, want, body)
			}
		}
	}
	if body, _ := mustFetch(t, http.DefaultClient, "http://"+r.addr(0)+query); !strings.Contains(body, "HTTPS=<unset>\n") || !strings.Contains(body, "REQUEST_SCHEME=http\n") {
		t.Errorf("without TLS: got %q", body)
	}
}

// Other implementations of TLS and HTTP find each other with ours.
func TestTLSWithOtherClients(t *testing.T) {
	dir := t.TempDir()
	ca := pki.Authority(t, "CA")
	middle := ca.Authority(t, "middle")
	middle.Server(t, "site.example").Write(t, dir+"/site.pem", middle)
	pki.WriteFile(t, dir+"/ca.pem", ca.PEM())
	r := run(t, fmt.Sprintf(`
		setup.openssl { listen = "$A", pemfile = "%s/site.pem", options = { "ALL", "NO_SSLv3" } }
		actions = respond "%%{request.scheme} %%{request.host}"`, dir))
	_, port, _ := net.SplitHostPort(r.addr(0))
	for flag, version := range map[string]string{"--http1.1": "1.1", "--http2": "2"} {
		got := output(t, "curl", "-sS", flag, "--cacert", dir+"/ca.pem", "--resolve", "site.example:"+port+":127.0.0.1",
			"-w", " %{http_version}", "https://site.example:"+port+"/")
		if want := "https site.example " + version; got != want {
			t.Errorf("curl %s: got %q, want %q", flag, got, want)
		}
	}
	for _, version := range []string{"-tls1_2", "-tls1_3"} {
		got := output(t, "openssl", "s_client", "-connect", r.addr(0), "-servername", "site.example", "-CAfile", dir+"/ca.pem", "-verify_return_error", version)
		if !strings.Contains(got, "Verify return code: 0 (ok)") {
			t.Errorf("openssl %s:\n%s", version, got)
		}
	}
	if _, err := tls.Dial("tcp", r.addr(0), &tls.Config{MaxVersion: tls.VersionTLS11, InsecureSkipVerify: true}); err == nil {
		t.Error("TLS 1.1 is spoken")
	}
	if got := output(t, "curl", "-sS", "-w", "%{http_code}", "http://"+r.addr(0)); !strings.HasSuffix(got, "This port speaks TLS: use https.\n400") {
		t.Errorf("a client without TLS got %q", got)
	}
}

func TestServerNames(t *testing.T) {
	dir := t.TempDir()
	ca := pki.Authority(t, "CA")
	for name, names := range map[string][]string{"a": {"a.example"}, "wild": {"*.w.example"}, "sni_f.example": {"f.example"}, "fallback": {"fallback.example"}} {
		ca.Server(t, names...).Write(t, dir+"/"+name+".pem")
	}
	r := run(t, strings.ReplaceAll(`
		setup.openssl { listen = "$A", pemfile = { "$DIR/a.pem", { cert = "$DIR/wild.pem", key = "$DIR/wild.pem" } } }
		setup.fetch.files_static("sni", "$DIR/sni_*.pem")
		setup.gnutls { { "listen", "$B" }, { "listen", "$C" }, { "pemfile", "$DIR/a.pem" }, { "pemfile", "$DIR/wild.pem" },
			{ "sni-backend", "sni" }, { "sni-fallback-pemfile", "$DIR/fallback.pem" }, { "priority", "NORMAL:-VERS-TLS1.2" } }
		actions = respond "%{request.host}"`, "$DIR", dir))
	for host, i := range map[string]int{"a.example": 0, "x.w.example": 0, "f.example": 1} {
		body, _ := mustFetch(t, tlsClient(t, r.addr(i), trusting(ca.Pool()), true), "https://"+host+"/")
		if body != host {
			t.Errorf("%s: got %q", host, body)
		}
	}
	c, err := tls.Dial("tcp", r.addr(2), &tls.Config{ServerName: "none.example", InsecureSkipVerify: true})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if cn := c.ConnectionState().PeerCertificates[0].Subject.CommonName; cn != "fallback.example" {
		t.Errorf("an unknown host got the certificate of %s", cn)
	}
	if _, err := tls.Dial("tcp", r.addr(1), &tls.Config{MaxVersion: tls.VersionTLS12, InsecureSkipVerify: true}); err == nil {
		t.Error("the priority string has no effect")
	}
}

func TestClientCertificatesReachTheApplication(t *testing.T) {
	b := startBackend(t)
	dir := t.TempDir()
	ca := pki.Authority(t, "CA")
	site := ca.Server(t, "site.example")
	site.Write(t, dir+"/site.pem")
	pki.WriteFile(t, dir+"/ca.pem", ca.PEM())
	subject := pkix.Name{CommonName: "Ann", Organization: []string{"Example Ltd"}}
	ann := ca.Client(t, subject)
	stranger := pki.Authority(t, "other").Client(t, pkix.Name{CommonName: "Ann"})
	r := run(t, strings.NewReplacer("$DIR", dir, "$FCGI", b.FCGI).Replace(`
		local function with(options)
			options.pemfile = "$DIR/site.pem"
			setup.openssl(options)
		end
		with { listen = "$A", verify = true, ["client-ca-file"] = "$DIR/ca.pem", ["verify-require"] = true }
		with { listen = "$B", verify = true, ["client-ca-file"] = "$DIR/ca.pem" }
		with { listen = "$C", verify = true, ["verify-any"] = true }
		actions = { openssl.setenv { "client", "client-cert", "server", "server-cert" }, fastcgi "$FCGI" }`))
	const required, optional, anything = 0, 1, 2
	for _, c := range []struct {
		name     string
		listener int
		show     *pki.Certificate
		ok       bool
	}{
		{"required, good", required, ann, true},
		{"required, none", required, nil, false},
		{"required, a stranger's", required, stranger, false},
		{"optional, good", optional, ann, true},
		{"optional, none", optional, nil, true},
		{"optional, a stranger's", optional, stranger, false},
		{"any, a stranger's", anything, stranger, true},
		{"any, none", anything, nil, true},
	} {
		for _, http2 := range []bool{false, true} {
			cfg := trusting(ca.Pool())
			if c.show != nil {
				shown := c.show.TLS()
				cfg.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &shown, nil }
			}
			body, _, err := fetch(tlsClient(t, r.addr(c.listener), cfg, http2), "https://site.example/?only=SSL_CLIENT_S_DN_CN,SSL_CLIENT_S_DN_O,SSL_CLIENT_CERT,SSL_SERVER_S_DN_CN,SSL_SERVER_S_DN_C,SSL_SERVER_CERT")
			if (err == nil) != c.ok {
				t.Errorf("%s: got %v", c.name, err)
			}
			if !c.ok {
				continue
			}
			for _, want := range []string{"SSL_SERVER_S_DN_CN=site.example\n", "SSL_SERVER_S_DN_C=DE\n", "SSL_SERVER_CERT=" + string(site.PEM())} {
				if !strings.Contains(body, want) {
					t.Errorf("%s: %q is missing in\n%s", c.name, want, body)
				}
			}
			if has := !strings.Contains(body, "SSL_CLIENT_S_DN_CN=<unset>\n"); has != (c.show != nil) {
				t.Errorf("%s: the application knows of a client's certificate: %v\n%s", c.name, has, body)
			}
			if c.show != nil && (!strings.Contains(body, "SSL_CLIENT_S_DN_CN=Ann\n") || !strings.Contains(body, "SSL_CLIENT_CERT="+string(c.show.PEM()))) {
				t.Errorf("%s: the client is missing in\n%s", c.name, body)
			}
			if c.show == ann && !strings.Contains(body, "SSL_CLIENT_S_DN_O=Example Ltd\n") {
				t.Errorf("%s: the client's organization is missing in\n%s", c.name, body)
			}
		}
	}
}

// A session is resumed with a ticket, unless options say otherwise.
func TestTickets(t *testing.T) {
	dir := t.TempDir()
	ca := pki.Authority(t, "CA")
	ca.Server(t, "site.example").Write(t, dir+"/site.pem")
	r := run(t, strings.ReplaceAll(`
		setup.openssl { listen = "$A", pemfile = "$DIR/site.pem" }
		setup.openssl { listen = "$B", pemfile = "$DIR/site.pem", options = { "NO_TICKET" } }
		actions = respond "ok"`, "$DIR", dir))
	for i, want := range []bool{true, false} {
		cfg := trusting(ca.Pool())
		cfg.ServerName, cfg.ClientSessionCache = "site.example", tls.NewLRUClientSessionCache(1)
		for n := range 2 {
			c, err := tls.Dial("tcp", r.addr(i), cfg)
			if err != nil {
				t.Fatal(err)
			}
			io.WriteString(c, "GET / HTTP/1.0\r\n\r\n")
			io.ReadAll(c) // tickets come with the answer
			c.Close()
			if got := c.ConnectionState().DidResume; got != (want && n == 1) {
				t.Errorf("listener %d, connection %d: resumed %v", i, n, got)
			}
		}
	}
}

// A reload changes what a listener wants of clients; a connection of before is told so with
// its next answer, and no request is lost.
func TestReloadChangesTLS(t *testing.T) {
	dir := t.TempDir()
	ca := pki.Authority(t, "CA")
	one, two := ca.Server(t, "site.example"), ca.Server(t, "site.example")
	one.Write(t, dir+"/site.pem")
	script := fmt.Sprintf(`
		setup.openssl { listen = "$A", pemfile = "%s/site.pem" }
		actions = respond "ok"`, dir)
	r := run(t, script)
	client := tlsClient(t, r.addr(0), trusting(ca.Pool()), false)
	serial := func() string {
		t.Helper()
		_, resp := mustFetch(t, client, "https://site.example/")
		return resp.TLS.PeerCertificates[0].SerialNumber.String()
	}
	if serial() != one.SerialNumber.String() {
		t.Fatal("the first certificate is not shown")
	}
	two.Write(t, dir+"/site.pem")
	r.reload(script)
	_, resp := mustFetch(t, client, "https://site.example/")
	if !resp.Close {
		t.Error("the connection of before goes on")
	}
	if serial() != two.SerialNumber.String() {
		t.Error("the certificate of before is shown behind a reload")
	}

	pki.WriteFile(t, dir+"/site.pem", one.PEM())
	if err := r.Reload(); err == nil || !strings.Contains(err.Error(), "site.lua:2: openssl: "+dir+"/site.pem: ") {
		t.Errorf("a key is missing: got %v", err)
	}
	if serial() != two.SerialNumber.String() {
		t.Error("behind a failed reload another certificate is shown")
	}

	r.reload(`setup.listen "$A"` + "\n" + `actions = respond "plain"`)
	if body, _ := mustFetch(t, http.DefaultClient, "http://"+r.addr(0)); body != "plain" {
		t.Errorf("the same address without TLS: got %q", body)
	}
}
