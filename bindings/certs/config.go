// Package certs makes the crypto/tls configuration of a listener from files: certificates
// that are chosen by server name, their keys, and the CAs of clients. What comes from files
// is read again when those change. It knows no Lua and no runtime.
package certs

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"
)

// Settings say how a listener speaks TLS.
type Settings struct {
	// Pairs are the certificates. The first is for clients that name no host or an unknown
	// one; the others are for the names that are in them, wildcards included.
	Pairs []Files
	// Hosts is a path with one "*", which stands for a server name: files with certificate
	// and key for that name. "" is none.
	Hosts string
	// Fallback is for clients that name a host that no other certificate is for; nil leaves
	// those to the first of Pairs.
	Fallback *Files
	// Chain is a file of intermediate certificates, for certificates that come without
	// theirs; "" is none.
	Chain string
	// ClientCAs is a file of CA certificates that clients' certificates are verified with,
	// where Base.ClientAuth asks for that; "" is none.
	ClientCAs string
	// ClientDepth is how many intermediate certificates may be between a client's
	// certificate and one of ClientCAs.
	ClientDepth int
	// Base has all that does not come from files; it is not changed.
	Base *tls.Config
	// Log hears of files that could not be read again.
	Log *slog.Logger
	// Every is how often a handshake looks whether files have changed; 0 means 3 s.
	Every time.Duration
}

const defaultEvery = 3 * time.Second

// New reads the files and returns the configuration, which is safe for concurrent use and
// keeps itself up to date: when a file has changed the next handshake reads all of them
// again. If that fails, an error is logged and what was read before goes on. Errors name
// the file.
func New(set Settings) (*tls.Config, error) {
	if set.Every == 0 {
		set.Every = defaultEvery
	}
	k := &keeper{set: set, born: time.Now()}
	cfg, read, err := set.load()
	if err != nil {
		return nil, err
	}
	k.current.Store(cfg)
	k.read = read
	k.checked.Store(int64(time.Since(k.born)))
	outer := set.Base.Clone() // its keys encrypt the session tickets, whatever was read since
	outer.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) {
		k.refresh()
		return k.current.Load(), nil
	}
	return outer, nil
}

// keeper keeps a configuration up to date.
type keeper struct {
	set     Settings
	current atomic.Pointer[tls.Config]
	born    time.Time
	checked atomic.Int64 // when the files were looked at, in nanoseconds since born

	mu   sync.Mutex // held by the one handshake that looks at the files
	read files      // as they were when they were last read, with success or not
}

// refresh reads the files again if they have changed. Other handshakes do not wait for it.
func (k *keeper) refresh() {
	now := int64(time.Since(k.born))
	if now-k.checked.Load() < int64(k.set.Every) || !k.mu.TryLock() {
		return
	}
	defer k.mu.Unlock()
	k.checked.Store(now)
	if !k.read.changed() {
		return
	}
	cfg, read, err := k.set.load()
	k.read = read
	if err != nil {
		k.set.Log.Error("certificates could not be read again; the old ones go on", "error", err)
		return
	}
	k.current.Store(cfg)
	k.set.Log.Info("certificates were read again", "file", k.set.Pairs[0].Cert)
}

// load reads all files. Those that were read are returned also with an error.
func (set *Settings) load() (*tls.Config, files, error) {
	r := &reader{}
	cfg, err := set.loadWith(r)
	return cfg, r.files, err
}

func (set *Settings) loadWith(r *reader) (*tls.Config, error) {
	table, err := set.loadTable(r)
	if err != nil {
		return nil, err
	}
	cfg := set.Base.Clone()
	cfg.GetCertificate = table.choose
	if set.ClientCAs != "" {
		if cfg.ClientCAs, err = r.pool(set.ClientCAs); err != nil {
			return nil, err
		}
	}
	if cfg.ClientAuth >= tls.VerifyClientCertIfGiven {
		cfg.VerifyConnection = func(state tls.ConnectionState) error {
			return checkDepth(state.VerifiedChains, set.ClientDepth)
		}
	}
	return cfg, nil
}

func (set *Settings) loadTable(r *reader) (*table, error) {
	var chain []*x509.Certificate
	if set.Chain != "" {
		var err error
		if chain, err = r.certificates(set.Chain); err != nil {
			return nil, err
		}
	}
	t := &table{byName: map[string][]*certificate{}, byHost: map[string]*certificate{}}
	for _, f := range set.Pairs {
		c, err := set.loadPair(r, f, chain)
		if err != nil {
			return nil, err
		}
		t.add(c)
	}
	if set.Fallback != nil {
		var err error
		if t.fallback, err = set.loadPair(r, *set.Fallback, chain); err != nil {
			return nil, err
		}
	}
	if set.Hosts == "" {
		return t, nil
	}
	found, err := r.hosts(set.Hosts)
	if err != nil {
		return nil, err
	}
	for host, path := range found {
		if t.byHost[host], err = set.loadPair(r, Files{Cert: path, Key: path}, chain); err != nil {
			return nil, err
		}
	}
	return t, nil
}

func (set *Settings) loadPair(r *reader, f Files, chain []*x509.Certificate) (*certificate, error) {
	c, err := r.pair(f, chain)
	if err != nil {
		return nil, err
	}
	if now := time.Now(); now.After(c.Leaf.NotAfter) || now.Before(c.Leaf.NotBefore) {
		set.Log.Warn("a certificate is not valid now", "file", f.Cert, "from", c.Leaf.NotBefore, "until", c.Leaf.NotAfter)
	}
	return c, nil
}

var errDepth = errors.New("the client's certificate has too many intermediate certificates")

// checkDepth refuses a client none of whose chains (certificate, intermediate ones, CA) is
// short enough. A client without a certificate has none.
func checkDepth(chains [][]*x509.Certificate, depth int) error {
	for _, chain := range chains {
		if len(chain)-2 <= depth {
			return nil
		}
	}
	if len(chains) == 0 {
		return nil
	}
	return fmt.Errorf("%w: %d are allowed", errDepth, depth)
}
