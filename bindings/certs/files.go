package certs

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/crypto/ocsp"
)

// Files are the files of one certificate. Cert has the certificate and the intermediate
// ones behind it; Key may be the same file. OCSP is an OCSP response, DER or PEM, or "";
// one may also be in Cert, as a PEM block "OCSP RESPONSE".
type Files struct {
	Cert, Key, OCSP string
}

// files are files as they were when they were read, and what a pattern found.
type files struct {
	stamps  []stamp
	pattern string
	found   []string
}

type stamp struct {
	path string
	size int64 // -1 when there was no such file
	mod  time.Time
}

func stampOf(path string) stamp {
	info, err := os.Stat(path)
	if err != nil {
		return stamp{path: path, size: -1}
	}
	return stamp{path, info.Size(), info.ModTime()}
}

func (f *files) changed() bool {
	for _, before := range f.stamps {
		now := stampOf(before.path)
		if now.size != before.size || !now.mod.Equal(before.mod) {
			return true
		}
	}
	if f.pattern == "" {
		return false
	}
	found, err := filepath.Glob(f.pattern)
	return err == nil && !slices.Equal(found, f.found)
}

// reader reads files and remembers them.
type reader struct {
	files files
}

// maxFile bounds a file, in bytes.
const maxFile = 1 << 20

func (r *reader) read(path string) ([]byte, error) {
	s := stampOf(path) // before it is read: a change from here on is seen later
	if !slices.ContainsFunc(r.files.stamps, func(o stamp) bool { return o.path == path }) {
		r.files.stamps = append(r.files.stamps, s)
	}
	if s.size > maxFile {
		return nil, fmt.Errorf("%s: %d bytes are too many for a file of certificates", path, s.size)
	}
	return os.ReadFile(path)
}

// hosts finds the files of a pattern with one "*", by what that stands for.
func (r *reader) hosts(pattern string) (map[string]string, error) {
	found, err := filepath.Glob(pattern)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", pattern, err)
	}
	r.files.pattern, r.files.found = pattern, found
	before, behind, _ := strings.Cut(pattern, "*")
	hosts := map[string]string{}
	for _, path := range found {
		host := strings.TrimSuffix(strings.TrimPrefix(path, before), behind)
		hosts[strings.ToLower(host)] = path
	}
	return hosts, nil
}

// pair reads a certificate with its key.
func (r *reader) pair(f Files, chain []*x509.Certificate) (*certificate, error) {
	cert, err := r.read(f.Cert)
	if err != nil {
		return nil, err
	}
	key := cert
	if f.Key != f.Cert {
		if key, err = r.read(f.Key); err != nil {
			return nil, err
		}
	}
	if isEncrypted(key) {
		return nil, fmt.Errorf("%s: the key is encrypted; write it without a password: openssl pkey -in %s -out FILE", f.Key, f.Key)
	}
	made, err := tls.X509KeyPair(cert, key)
	if err != nil {
		return nil, fmt.Errorf("%s: %s", f.where(), strings.TrimPrefix(err.Error(), "tls: "))
	}
	c := &certificate{Certificate: made}
	c.complete(chain)
	response := pemBlock(cert, "OCSP RESPONSE")
	if f.OCSP != "" {
		if response, err = r.ocsp(f.OCSP); err != nil {
			return nil, err
		}
	}
	if response != nil {
		if err := c.staple(response); err != nil {
			return nil, fmt.Errorf("%s: %w", f.where(), err)
		}
	}
	return c, nil
}

func (f Files) where() string {
	if f.Key != f.Cert {
		return f.Cert + " with the key " + f.Key
	}
	return f.Cert
}

func isEncrypted(key []byte) bool {
	return bytes.Contains(key, []byte("BEGIN ENCRYPTED PRIVATE KEY")) || bytes.Contains(key, []byte("Proc-Type: 4,ENCRYPTED"))
}

// pemBlock returns the content of the first block of a type, nil when there is none.
func pemBlock(text []byte, kind string) []byte {
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		if block.Type == kind {
			return block.Bytes
		}
	}
	return nil
}

func (r *reader) ocsp(path string) ([]byte, error) {
	text, err := r.read(path)
	if err != nil {
		return nil, err
	}
	if block, _ := pem.Decode(text); block != nil {
		return block.Bytes, nil
	}
	return text, nil
}

// staple adds an OCSP response, which is left out again when it expires.
func (c *certificate) staple(response []byte) error {
	parsed, err := ocsp.ParseResponse(response, nil)
	if err != nil {
		return fmt.Errorf("the OCSP response cannot be read: %w", err)
	}
	if parsed.SerialNumber.Cmp(c.Leaf.SerialNumber) != 0 {
		return errors.New("the OCSP response is that of another certificate")
	}
	stapled := c.Certificate
	stapled.OCSPStaple = response
	c.stapled, c.until = &stapled, parsed.NextUpdate
	return nil
}

// complete adds the intermediate certificates that lead from the last certificate to a
// root, as far as chain has them.
func (c *certificate) complete(chain []*x509.Certificate) {
	last, err := x509.ParseCertificate(c.Certificate.Certificate[len(c.Certificate.Certificate)-1])
	for err == nil && len(c.Certificate.Certificate) <= len(chain) {
		i := slices.IndexFunc(chain, func(ca *x509.Certificate) bool {
			return !bytes.Equal(ca.RawSubject, ca.RawIssuer) && last.CheckSignatureFrom(ca) == nil
		})
		if i < 0 {
			return
		}
		last = chain[i]
		c.Certificate.Certificate = append(c.Certificate.Certificate, last.Raw)
	}
}

// certificates reads a file of PEM certificates.
func (r *reader) certificates(path string) ([]*x509.Certificate, error) {
	text, err := r.read(path)
	if err != nil {
		return nil, err
	}
	var all []*x509.Certificate
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		if block.Type != "CERTIFICATE" {
			continue
		}
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		all = append(all, cert)
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("%s: there is no PEM certificate in it", path)
	}
	return all, nil
}

func (r *reader) pool(path string) (*x509.CertPool, error) {
	all, err := r.certificates(path)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	for _, cert := range all {
		pool.AddCert(cert)
	}
	return pool, nil
}
