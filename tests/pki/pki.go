// Package pki makes certificates for tests.
package pki

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// Certificate is a certificate with its key.
type Certificate struct {
	*x509.Certificate
	Key crypto.Signer
}

// Authority returns a CA that signed itself.
func Authority(t testing.TB, name string) *Certificate {
	return issue(t, nil, authority(name))
}

// Authority returns a CA that c has signed.
func (c *Certificate) Authority(t testing.TB, name string) *Certificate {
	return issue(t, c, authority(name))
}

func authority(name string) *x509.Certificate {
	return &x509.Certificate{Subject: pkix.Name{CommonName: name}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign | x509.KeyUsageDigitalSignature}
}

// Server returns a certificate of c for host names and IP addresses; the first is the
// common name.
func (c *Certificate) Server(t testing.TB, names ...string) *Certificate {
	tmpl := &x509.Certificate{Subject: pkix.Name{CommonName: names[0], Organization: []string{"Example"}, Country: []string{"DE"}},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}
	for _, name := range names {
		if ip := net.ParseIP(name); ip != nil {
			tmpl.IPAddresses = append(tmpl.IPAddresses, ip)
		} else {
			tmpl.DNSNames = append(tmpl.DNSNames, name)
		}
	}
	return issue(t, c, tmpl)
}

// Client returns a certificate of c for a client.
func (c *Certificate) Client(t testing.TB, subject pkix.Name) *Certificate {
	return issue(t, c, &x509.Certificate{Subject: subject, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}})
}

func issue(t testing.TB, by *Certificate, tmpl *x509.Certificate) *Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	if tmpl.SerialNumber, err = rand.Int(rand.Reader, big.NewInt(1<<62)); err != nil {
		t.Fatal(err)
	}
	tmpl.NotBefore, tmpl.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(24*time.Hour)
	if by == nil {
		by = &Certificate{tmpl, key}
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, by.Certificate, &key.PublicKey, by.Key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &Certificate{cert, key}
}

// PEM returns the certificate as PEM.
func (c *Certificate) PEM() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})
}

// KeyPEM returns the key as PEM.
func (c *Certificate) KeyPEM(t testing.TB) []byte {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(c.Key)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
}

// Write writes the certificate, the given ones behind it, and the key into one file, which
// takes the place of what was there in one step.
func (c *Certificate) Write(t testing.TB, path string, chain ...*Certificate) {
	t.Helper()
	text := c.PEM()
	for _, more := range chain {
		text = append(text, more.PEM()...)
	}
	WriteFile(t, path, append(text, c.KeyPEM(t)...))
}

// WriteFile writes a file that takes the place of what was there in one step.
func WriteFile(t testing.TB, path string, text []byte) {
	t.Helper()
	next := filepath.Join(filepath.Dir(path), ".next-"+filepath.Base(path))
	if err := os.WriteFile(next, text, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(next, path); err != nil {
		t.Fatal(err)
	}
}

// Pool returns the certificate as what a peer trusts.
func (c *Certificate) Pool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(c.Certificate)
	return pool
}

// TLS returns the certificate for a peer that shows it, with the given ones behind it.
func (c *Certificate) TLS(chain ...*Certificate) tls.Certificate {
	shown := tls.Certificate{Certificate: [][]byte{c.Raw}, PrivateKey: c.Key, Leaf: c.Certificate}
	for _, more := range chain {
		shown.Certificate = append(shown.Certificate, more.Raw)
	}
	return shown
}
