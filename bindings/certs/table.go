package certs

import (
	"crypto/tls"
	"strings"
	"time"
)

// certificate is a certificate with its key and, as long as that is valid, an OCSP response.
type certificate struct {
	tls.Certificate
	stapled *tls.Certificate // with the OCSP response; nil without one
	until   time.Time        // when that expires
}

func (c *certificate) now() *tls.Certificate {
	if c.stapled != nil && time.Now().Before(c.until) {
		return c.stapled
	}
	return &c.Certificate
}

// names are the host names that a certificate is for, "*.example.net" among them. The
// common name counts where there are no others, as it did in the past.
func (c *certificate) names() []string {
	if len(c.Leaf.DNSNames) > 0 || len(c.Leaf.IPAddresses) > 0 {
		return c.Leaf.DNSNames
	}
	return []string{c.Leaf.Subject.CommonName}
}

// table finds the certificate for a server name. It does not change.
type table struct {
	byHost   map[string]*certificate   // from a file for that very name
	byName   map[string][]*certificate // by a name in the certificate; several for several kinds of keys
	all      []*certificate
	fallback *certificate // nil: the first of all
}

func (t *table) add(c *certificate) {
	t.all = append(t.all, c)
	for _, name := range c.names() {
		name = strings.ToLower(name)
		t.byName[name] = append(t.byName[name], c)
	}
}

// choose implements tls.Config.GetCertificate. A name counts before a wildcard, and among
// the certificates for it the first whose key the client can use.
func (t *table) choose(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	return firstUsable(t.candidates(hello.ServerName), hello).now(), nil
}

func (t *table) candidates(name string) []*certificate {
	name = strings.ToLower(strings.TrimSuffix(name, "."))
	if name == "" {
		return t.all
	}
	if c := t.byHost[name]; c != nil {
		return []*certificate{c}
	}
	if list := t.byName[name]; list != nil {
		return list
	}
	if dot := strings.IndexByte(name, '.'); dot > 0 {
		if list := t.byName["*"+name[dot:]]; list != nil {
			return list
		}
	}
	if t.fallback != nil {
		return []*certificate{t.fallback}
	}
	return t.all
}

func firstUsable(list []*certificate, hello *tls.ClientHelloInfo) *certificate {
	if len(list) == 1 {
		return list[0]
	}
	nameless := *hello
	nameless.ServerName = "" // the name was looked at already
	for _, c := range list {
		if nameless.SupportsCertificate(&c.Certificate) == nil {
			return c
		}
	}
	return list[0]
}
