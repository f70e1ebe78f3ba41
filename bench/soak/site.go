package main

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"
)

// site is the server under load, with its applications.
type site struct {
	dir           string
	plain, secure string // addresses
	certificate   *x509.Certificate
	still         int // how often in a row nothing may have changed, to say that it rests
	server        *exec.Cmd
	upstream      *exec.Cmd
	ended         chan struct{} // closed when the server has ended
}

const (
	hostName     = "soak.example"
	upstreamBody = "hello from behind"
)

// large is a file that needs many packets; each of its bytes depends on its place.
func large() []byte {
	b := make([]byte, 1<<20)
	for i := range b {
		b[i] = byte(i>>8) ^ byte(i)
	}
	return b
}

const script = `-- generation %[1]d
setup.listen %[2]q
setup.openssl { listen = %[3]q, pemfile = "%[4]s/site.pem" }
setup.accesslog "%[4]s/access.log"
actions = {
  when(request.path:eq "/fixed", respond "hello, world"),
  when(request.path:eq "/status", status.metrics()),
  when(request.path:eq "/lua", function(vr)
    local body = vr["in"]:read() or ""
    if vr:handle_direct() then
      vr.resp.status = 200
      vr.resp.headers["Content-Type"] = "text/plain"
      vr.out:add(vr.req.uri.query .. ":" .. body:upper())
    end
  end),
  when(request.path:eq "/filtered", { respond(200, ("filtered "):rep(500)), deflate() }),
  when(request.path:eq "/fails", function() error("on purpose") end),
  when(request.path:eq "/fastcgi", fastcgi "unix:%[4]s/fastcgi.sock"),
  when(request.path:eq "/proxy", proxy "unix:%[4]s/http.sock"),
  docroot "%[4]s/htdocs", static(),
}
`

func startSite(dir string, still int) (s *site, err error) {
	s = &site{dir: dir, still: still, ended: make(chan struct{})}
	if s.plain, err = freeAddr(); err != nil {
		return nil, err
	}
	if s.secure, err = freeAddr(); err != nil {
		return nil, err
	}
	if err := errors.Join(s.writeCertificate(), os.Mkdir(dir+"/htdocs", 0o755),
		os.WriteFile(dir+"/htdocs/large.bin", large(), 0o644), s.write(0)); err != nil {
		return nil, err
	}
	s.upstream = exec.Command(dir+"/upstream", dir+"/fastcgi.sock", dir+"/http.sock", upstreamBody)
	if err := s.upstream.Start(); err != nil {
		return nil, err
	}
	log, err := os.Create(dir + "/server.log")
	if err != nil {
		return nil, err
	}
	defer log.Close()
	s.server = exec.Command(dir+"/luaserve", "run", dir+"/site.lua")
	s.server.Stdout, s.server.Stderr = log, log
	if err := s.server.Start(); err != nil {
		return nil, err
	}
	go func() { _ = s.server.Wait(); close(s.ended) }()
	for range 500 {
		if c, err := net.Dial("tcp", s.secure); err == nil {
			c.Close()
			return s, nil
		}
		time.Sleep(10 * time.Millisecond)
	}
	s.stop()
	return nil, fmt.Errorf("luaserve does not listen: %s", s.log())
}

func freeAddr() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer l.Close()
	return l.Addr().String(), nil
}

func (s *site) log() []byte {
	text, _ := os.ReadFile(s.dir + "/server.log")
	return text[max(0, len(text)-2000):]
}

// write writes the script of a generation. Every fourth one is broken: the one before goes on.
func (s *site) write(generation int) error {
	text := fmt.Sprintf(script, generation, s.plain, s.secure, s.dir)
	if generation%4 == 3 {
		text += "actions = no.such.action()\n"
	}
	return os.WriteFile(s.dir+"/site.lua", []byte(text), 0o644)
}

// reload has the server load the next generation, and open its access log anew.
func (s *site) reload(generation int) error {
	select {
	case <-s.ended:
		return fmt.Errorf("luaserve has ended: %s", s.log())
	default:
	}
	if err := os.Remove(s.dir + "/access.log"); err != nil {
		return err
	}
	if err := s.write(generation); err != nil {
		return err
	}
	return s.server.Process.Signal(syscall.SIGHUP)
}

// rested is a sample without load: what there is when nothing has changed for a while.
func (s *site) rested() (sample, error) {
	var last sample
	for same, looks := 0, 0; looks < 120 && same < s.still; looks++ {
		time.Sleep(500 * time.Millisecond)
		now, err := s.look()
		if err != nil {
			return now, err
		}
		if same++; now.Goroutines != last.Goroutines || now.Descriptors != last.Descriptors {
			same = 0
		}
		last = now
	}
	return last, nil
}

func (s *site) stop() {
	_ = s.server.Process.Signal(syscall.SIGTERM)
	select {
	case <-s.ended:
	case <-time.After(40 * time.Second):
		_ = s.server.Process.Kill()
		<-s.ended
	}
	_ = s.upstream.Process.Kill()
	_ = s.upstream.Wait()
}

// writeCertificate makes a certificate that its own key has signed.
func (s *site) writeCertificate() error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{hostName}, NotAfter: time.Now().Add(48 * time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return err
	}
	if s.certificate, err = x509.ParseCertificate(der); err != nil {
		return err
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	var out bytes.Buffer
	pem.Encode(&out, &pem.Block{Type: "CERTIFICATE", Bytes: der})
	pem.Encode(&out, &pem.Block{Type: "PRIVATE KEY", Bytes: keyDER})
	return os.WriteFile(filepath.Join(s.dir, "site.pem"), out.Bytes(), 0o600)
}

// statusClient asks the server for its own numbers; it leaves no connection behind.
var statusClient = &http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
