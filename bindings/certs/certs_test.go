package certs

import (
	"bytes"
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ocsp"

	"luaserve/tests/pki"
)

// newConfig makes a configuration whose files are looked at in each handshake.
func newConfig(t *testing.T, set Settings) *tls.Config {
	t.Helper()
	if set.Base == nil {
		set.Base = &tls.Config{}
	}
	set.Log, set.Every = slog.New(slog.DiscardHandler), 1
	cfg, err := New(set)
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}

// shake does a handshake, reads a byte behind it, and returns both errors and what the
// client has seen.
func shake(t *testing.T, server, client *tls.Config) (state tls.ConnectionState, serverErr, clientErr error) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	b, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	a, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	a.SetDeadline(time.Now().Add(10 * time.Second))
	b.SetDeadline(time.Now().Add(10 * time.Second))
	ended := make(chan error, 1)
	go func() {
		defer a.Close()
		s := tls.Server(a, server)
		err := s.Handshake()
		if err == nil {
			io.WriteString(s, "x")
		}
		ended <- err
	}()
	c := tls.Client(b, client)
	if clientErr = c.Handshake(); clientErr == nil {
		_, clientErr = c.Read(make([]byte, 1)) // in TLS 1.3 a refusal of the client comes behind the handshake
	}
	state = c.ConnectionState()
	b.Close()
	return state, <-ended, clientErr
}

// shownTo returns the common name of the certificate for a server name.
func shownTo(t *testing.T, cfg *tls.Config, name string) string {
	t.Helper()
	state, _, err := shake(t, cfg, &tls.Config{ServerName: name, InsecureSkipVerify: true})
	if err != nil {
		t.Fatalf("%q: %v", name, err)
	}
	return state.PeerCertificates[0].Subject.CommonName
}

func TestChoiceByName(t *testing.T) {
	dir := t.TempDir()
	ca := pki.Authority(t, "CA")
	var pairs []Files
	for i, names := range [][]string{{"first.example", "second.example"}, {"*.wild.example"}, {"special.wild.example"}, {"UPPER.example"}} {
		path := fmt.Sprintf("%s/%d.pem", dir, i)
		ca.Server(t, names...).Write(t, path)
		pairs = append(pairs, Files{Cert: path, Key: path})
	}
	ca.Server(t, "fallback").Write(t, dir+"/fallback.pem")
	ca.Server(t, "by file").Write(t, dir+"/sni_file.example.pem")
	for _, c := range []struct{ name, first, fallback string }{
		{"", "first.example", "first.example"},
		{"192.0.2.1", "first.example", "first.example"}, // crypto/tls sends no address
		{"first.example", "first.example", "first.example"},
		{"SECOND.example", "first.example", "first.example"},
		{"a.wild.example", "*.wild.example", "*.wild.example"},
		{"special.wild.example", "special.wild.example", "special.wild.example"},
		{"upper.example", "UPPER.example", "UPPER.example"},
		{"file.example", "by file", "by file"},
		{"wild.example", "first.example", "fallback"},
		{"a.b.wild.example", "first.example", "fallback"},
		{"unknown.example", "first.example", "fallback"},
	} {
		set := Settings{Pairs: pairs, Hosts: dir + "/sni_*.pem"}
		if got := shownTo(t, newConfig(t, set), c.name); got != c.first {
			t.Errorf("%q: got the certificate of %s, want %s", c.name, got, c.first)
		}
		set.Fallback = &Files{Cert: dir + "/fallback.pem", Key: dir + "/fallback.pem"}
		if got := shownTo(t, newConfig(t, set), c.name); got != c.fallback {
			t.Errorf("%q with a fallback: got the certificate of %s, want %s", c.name, got, c.fallback)
		}
	}
}

func TestCommonNameCountsWhereThereIsNoOther(t *testing.T) {
	dir := t.TempDir()
	ca := pki.Authority(t, "CA")
	ca.Server(t, "first.example").Write(t, dir+"/a.pem")
	ca.Client(t, pkix.Name{CommonName: "old.example"}).Write(t, dir+"/b.pem")
	cfg := newConfig(t, Settings{Pairs: []Files{{Cert: dir + "/a.pem", Key: dir + "/a.pem"}, {Cert: dir + "/b.pem", Key: dir + "/b.pem"}}})
	if got := shownTo(t, cfg, "old.example"); got != "old.example" {
		t.Errorf("got the certificate of %s", got)
	}
}

func TestFilesAreReadAgain(t *testing.T) {
	dir := t.TempDir()
	path := dir + "/site.pem"
	ca := pki.Authority(t, "CA")
	ca.Server(t, "one").Write(t, path)
	var log bytes.Buffer
	cfg, err := New(Settings{Pairs: []Files{{Cert: path, Key: path}}, Hosts: dir + "/sni_*.pem", Base: &tls.Config{},
		Log: slog.New(slog.NewTextHandler(&log, nil)), Every: 1})
	if err != nil {
		t.Fatal(err)
	}
	expect := func(name, want string) {
		t.Helper()
		if got := shownTo(t, cfg, name); got != want {
			t.Errorf("%q: got the certificate of %s, want %s\n%s", name, got, want, &log)
		}
	}
	expect("", "one")
	ca.Server(t, "two, with a longer name").Write(t, path)
	expect("", "two, with a longer name")

	pki.WriteFile(t, path, []byte("rubbish"))
	expect("", "two, with a longer name")
	expect("", "two, with a longer name")
	if n := strings.Count(log.String(), "could not be read again"); n != 1 || !strings.Contains(log.String(), path) {
		t.Errorf("%d complaints, want one that names the file:\n%s", n, &log)
	}
	os.Remove(path)
	expect("", "two, with a longer name")
	ca.Server(t, "three").Write(t, path)
	expect("", "three")

	expect("new.example", "three")
	ca.Server(t, "new").Write(t, dir+"/sni_new.example.pem")
	expect("new.example", "new")
	os.Remove(dir + "/sni_new.example.pem")
	expect("new.example", "three")
}

func TestBadFiles(t *testing.T) {
	dir := t.TempDir()
	ca := pki.Authority(t, "CA")
	one, other := ca.Server(t, "one"), ca.Server(t, "other")
	write := func(name string, text []byte) string {
		path := filepath.Join(dir, name)
		pki.WriteFile(t, path, text)
		return path
	}
	cert, key := write("cert", one.PEM()), write("key", one.KeyPEM(t))
	otherKey := write("other", other.KeyPEM(t))
	encrypted := write("encrypted", []byte("-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n"))
	big := write("big", make([]byte, maxFile+1))
	response := write("ocsp", ocspResponse(t, ca, other, time.Now().Add(time.Hour)))
	good := []Files{{Cert: cert, Key: key}}
	for name, c := range map[string]struct {
		set  Settings
		want string
	}{
		"missing":      {Settings{Pairs: []Files{{Cert: dir + "/none", Key: key}}}, "open " + dir + "/none: no such file or directory"},
		"no key":       {Settings{Pairs: []Files{{Cert: cert, Key: cert}}}, cert + ": found a certificate rather than a key in the PEM for the private key"},
		"mismatched":   {Settings{Pairs: []Files{{Cert: cert, Key: otherKey}}}, cert + " with the key " + otherKey + ": private key does not match public key"},
		"encrypted":    {Settings{Pairs: []Files{{Cert: cert, Key: encrypted}}}, encrypted + ": the key is encrypted"},
		"big":          {Settings{Pairs: []Files{{Cert: big, Key: key}}}, big + ": 1048577 bytes are too many"},
		"chain":        {Settings{Pairs: good, Chain: key}, key + ": there is no PEM certificate in it"},
		"client CAs":   {Settings{Pairs: good, ClientCAs: dir + "/none"}, "open " + dir + "/none"},
		"fallback":     {Settings{Pairs: good, Fallback: &Files{Cert: cert, Key: otherKey}}, "private key does not match"},
		"other's OCSP": {Settings{Pairs: []Files{{Cert: cert, Key: key, OCSP: response}}}, "the OCSP response is that of another certificate"},
		"no OCSP":      {Settings{Pairs: []Files{{Cert: cert, Key: key, OCSP: key}}}, "the OCSP response cannot be read"},
		"hosts":        {Settings{Pairs: good, Hosts: dir + "/big*"}, "too many"},
	} {
		c.set.Base, c.set.Log = &tls.Config{}, slog.New(slog.DiscardHandler)
		if _, err := New(c.set); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %s", name, err, c.want)
		}
	}
}

func TestChainIsCompleted(t *testing.T) {
	dir := t.TempDir()
	root := pki.Authority(t, "root")
	middle := root.Authority(t, "middle")
	lower := middle.Authority(t, "lower")
	lower.Server(t, "site.example").Write(t, dir+"/site.pem")
	pki.WriteFile(t, dir+"/ca.pem", slices.Concat(root.PEM(), middle.PEM(), pki.Authority(t, "unrelated").PEM(), lower.PEM()))
	cfg := newConfig(t, Settings{Pairs: []Files{{Cert: dir + "/site.pem", Key: dir + "/site.pem"}}, Chain: dir + "/ca.pem"})
	state, _, err := shake(t, cfg, &tls.Config{ServerName: "site.example", RootCAs: root.Pool()})
	if err != nil {
		t.Fatal(err)
	}
	if n := len(state.PeerCertificates); n != 3 {
		t.Errorf("%d certificates, want the site's and two intermediate ones", n)
	}
}

func TestClientCertificates(t *testing.T) {
	dir := t.TempDir()
	ca := pki.Authority(t, "CA")
	middle := ca.Authority(t, "middle")
	lower := middle.Authority(t, "lower")
	ca.Server(t, "site.example").Write(t, dir+"/site.pem")
	pki.WriteFile(t, dir+"/ca.pem", ca.PEM())
	pairs := []Files{{Cert: dir + "/site.pem", Key: dir + "/site.pem"}}
	subject := pkix.Name{CommonName: "Ann"}
	direct := ca.Client(t, subject).TLS()
	below := middle.Client(t, subject).TLS(middle)
	deep := lower.Client(t, subject).TLS(lower, middle)
	foreign := pki.Authority(t, "other").Client(t, subject).TLS()
	verify := Settings{Pairs: pairs, ClientCAs: dir + "/ca.pem", ClientDepth: 1}
	for _, c := range []struct {
		name string
		auth tls.ClientAuthType
		show *tls.Certificate
		ok   bool
	}{
		{"none where one may be", tls.VerifyClientCertIfGiven, nil, true},
		{"none where one must be", tls.RequireAndVerifyClientCert, nil, false},
		{"direct", tls.RequireAndVerifyClientCert, &direct, true},
		{"one intermediate", tls.RequireAndVerifyClientCert, &below, true},
		{"two intermediates", tls.RequireAndVerifyClientCert, &deep, false},
		{"foreign where one may be", tls.VerifyClientCertIfGiven, &foreign, false},
		{"foreign where any will do", tls.RequireAnyClientCert, &foreign, true},
		{"none where any must be", tls.RequireAnyClientCert, nil, false},
	} {
		verify.Base = &tls.Config{ClientAuth: c.auth}
		client := &tls.Config{ServerName: "site.example", RootCAs: ca.Pool()}
		if c.show != nil { // whatever CAs the server names
			client.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return c.show, nil }
		}
		_, serverErr, clientErr := shake(t, newConfig(t, verify), client)
		if (serverErr == nil) != c.ok || (clientErr == nil) != c.ok {
			t.Errorf("%s: server %v, client %v", c.name, serverErr, clientErr)
		}
	}
	if err := checkDepth([][]*x509.Certificate{make([]*x509.Certificate, 4)}, 1); !errors.Is(err, errDepth) {
		t.Errorf("got %v", err)
	}
}

// A ticket of before does not let a client in whose CA is not trusted any more.
func TestSessionsDoNotOutliveTheCAs(t *testing.T) {
	dir := t.TempDir()
	ca, other := pki.Authority(t, "CA"), pki.Authority(t, "other")
	ca.Server(t, "site.example").Write(t, dir+"/site.pem")
	pki.WriteFile(t, dir+"/ca.pem", ca.PEM())
	cfg := newConfig(t, Settings{Pairs: []Files{{Cert: dir + "/site.pem", Key: dir + "/site.pem"}}, ClientCAs: dir + "/ca.pem",
		Base: &tls.Config{ClientAuth: tls.RequireAndVerifyClientCert}})
	client := &tls.Config{ServerName: "site.example", RootCAs: ca.Pool(), ClientSessionCache: tls.NewLRUClientSessionCache(1),
		Certificates: []tls.Certificate{ca.Client(t, pkix.Name{CommonName: "Ann"}).TLS()}}
	for i := range 2 {
		state, _, err := shake(t, cfg, client)
		if err != nil || state.DidResume != (i == 1) {
			t.Fatalf("handshake %d: %v, resumed %v", i, err, state.DidResume)
		}
	}
	pki.WriteFile(t, dir+"/ca.pem", other.PEM())
	if _, err, _ := shake(t, cfg, client); err == nil {
		t.Error("the client got in")
	}
}

func TestStaple(t *testing.T) {
	dir := t.TempDir()
	ca := pki.Authority(t, "CA")
	site := ca.Server(t, "site.example")
	path := dir + "/site.pem"
	client := &tls.Config{ServerName: "site.example", RootCAs: ca.Pool()}
	stapled := func(f Files) []byte {
		t.Helper()
		state, _, err := shake(t, newConfig(t, Settings{Pairs: []Files{f}}), client)
		if err != nil {
			t.Fatal(err)
		}
		return state.OCSPResponse
	}
	site.Write(t, path)
	response := ocspResponse(t, ca, site, time.Now().Add(time.Hour))
	pki.WriteFile(t, dir+"/ocsp", response)
	if got := stapled(Files{Cert: path, Key: path, OCSP: dir + "/ocsp"}); !bytes.Equal(got, response) {
		t.Error("the response of the file is not there")
	}
	inside := append(site.PEM(), pem.EncodeToMemory(&pem.Block{Type: "OCSP RESPONSE", Bytes: response})...)
	pki.WriteFile(t, dir+"/inside.pem", append(inside, site.KeyPEM(t)...))
	if got := stapled(Files{Cert: dir + "/inside.pem", Key: dir + "/inside.pem"}); !bytes.Equal(got, response) {
		t.Error("the response behind the certificate is not there")
	}
	pki.WriteFile(t, dir+"/ocsp", ocspResponse(t, ca, site, time.Now().Add(-time.Minute)))
	if got := stapled(Files{Cert: path, Key: path, OCSP: dir + "/ocsp"}); got != nil {
		t.Error("an expired response is there")
	}
}

func ocspResponse(t *testing.T, ca, of *pki.Certificate, until time.Time) []byte {
	t.Helper()
	response, err := ocsp.CreateResponse(ca.Certificate, ca.Certificate, ocsp.Response{Status: ocsp.Good, SerialNumber: of.SerialNumber,
		ThisUpdate: time.Now().Add(-2 * time.Hour), NextUpdate: until, IssuerHash: crypto.SHA256}, ca.Key)
	if err != nil {
		t.Fatal(err)
	}
	return response
}
