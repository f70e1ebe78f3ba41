package bindings

import (
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"strings"

	"luaserve/bindings/certs"
	"luaserve/runtime"
	"luaserve/runtime/luaio"
)

func opensslModule() *runtime.Module {
	return &runtime.Module{
		Name: "openssl",
		Doc: "Listens for TLS connections, in the way that lighttpd2's mod_openssl is configured; what speaks TLS is crypto/tls. " +
			"TLS 1.2 and 1.3 are spoken unless options say otherwise, HTTP/2 with clients that know it and HTTP/1.1 with the others. " +
			"Files are read again when they change, at most every few seconds, and at each reload; what cannot be read then is logged, and the old goes on. " +
			"A reload asks TLS connections to come again behind their next answer.",
		Setups: []runtime.Setup{
			{Name: "openssl", Run: setupOpenSSL,
				Doc:     "Listens for TLS connections. An address without a port is one with port 443.",
				Example: `setup.openssl { listen = { "0.0.0.0:443", "[::]:443" }, pemfile = "server.pem" }`,
				Params:  []runtime.Param{{Name: "options", Type: runtime.TPairs, Options: describeOptions(opensslOptions, newTLSSetup(nil))}}},
		},
		Actions: []runtime.ActionDef{
			{Name: "openssl.setenv", New: newSetenv,
				Doc: "Puts what is known of certificates into the environment of the request, where applications find it. " +
					`"client" sets SSL_CLIENT_S_DN_CN and its like, one for each part of the subject of the client's certificate; "client-cert" sets SSL_CLIENT_CERT, the certificate as PEM; ` +
					`"server" and "server-cert" set SSL_SERVER_S_DN_… and SSL_SERVER_CERT, of the server's own. Where there is no certificate nothing is set. ` +
					"A client's certificate has been verified, unless verify_any says otherwise.",
				Example: `actions = { openssl.setenv { "client", "client-cert" }, respond "%{req.environment[SSL_CLIENT_S_DN_CN]}" }`,
				Params:  []runtime.Param{{Name: "list", Type: runtime.TStrings, Doc: `some of "client", "client-cert", "server", "server-cert"`}}},
		},
	}
}

// tlsSetup is what a script says of TLS listeners.
type tlsSetup struct {
	listen   []runtime.Listener
	settings certs.Settings
	base     tls.Config
	noEffect []string // options that were given and do nothing here, with the reason

	verify, verifyGiven, verifyAny, verifyRequire bool
}

func newTLSSetup(log *slog.Logger) *tlsSetup {
	return &tlsSetup{
		settings: certs.Settings{Log: log, ClientDepth: 1},
		base:     tls.Config{MinVersion: tls.VersionTLS12, NextProtos: []string{"h2", "http/1.1"}},
	}
}

var opensslOptions = []option[tlsSetup]{
	tlsListenOption(setTLSListen),
	{name: "pemfile", typ: "string|string[]|table|table[]", many: true, set: setPemfile, inner: pemDescription,
		doc: "a file with certificate, intermediate certificates and key, or a table; a list of these, or several pemfile: the first is for clients that name no host or an unknown one, the others for the names in them, wildcards included"},
	stringOption("ca_file", "a file with intermediate certificates, for certificates that come without theirs", func(c *tlsSetup) *string { return &c.settings.Chain }),
	{name: "ciphers", typ: "string", set: setCiphers,
		doc: "cipher suites of TLS 1.2 in OpenSSL's notation, of those that crypto/tls has; those of TLS 1.3 are fixed, and the order is crypto/tls's"},
	noEffectOption("dh_params", "crypto/tls has no key exchange with such parameters", setNoEffect),
	{name: "ecdh_curve", typ: "string", set: setCurve,
		doc: "the one curve for the key exchange: prime256v1, secp384r1, secp521r1 or X25519"},
	{name: "options", typ: "string|string[]", set: setOpenSSLOptions,
		doc: "a list of OpenSSL's options: NO_TICKET, NO_TLSv1_2, NO_TLSv1_3, and TLSv1 or TLSv1_1 for old clients; others are accepted without an effect"},
	{name: "verify", typ: "boolean", set: setVerify, get: func(*tlsSetup) string { return "false" },
		doc: "whether clients are asked for a certificate; one that is given must be good"},
	boolOption("verify_any", "whether any certificate will do, also self-signed ones, so that only scripts and applications look at it", func(c *tlsSetup) *bool { return &c.verifyAny }),
	numberOption("verify_depth", "how many intermediate certificates a client's may have", func(c *tlsSetup) *int { return &c.settings.ClientDepth }, 0, 100),
	boolOption("verify_require", "whether a client must give a certificate", func(c *tlsSetup) *bool { return &c.verifyRequire }),
	stringOption("client_ca_file", "a file with the CA certificates that clients' certificates are verified with", func(c *tlsSetup) *string { return &c.settings.ClientCAs }),
}

// tlsListenOption is the option listen of both modules.
func tlsListenOption[T any](set func(*T, runtime.Value) error) option[T] {
	return option[T]{name: "listen", typ: "string|string[]|table|table[]", many: true, set: set,
		doc: "an address, a table or a list of these, as for the setup `listen`; may be given several times"}
}

// noEffectOption is one that is accepted and does nothing here.
func noEffectOption[T any](name, reason string, set func(reason string) func(*T, runtime.Value) error) option[T] {
	return option[T]{name: name, typ: "any", set: set(reason), doc: "accepted without an effect: " + reason}
}

func setupOpenSSL(b *runtime.Builder, args runtime.Args) error {
	c := newTLSSetup(b.Log())
	if err := readOptions(c, opensslOptions, args.Pairs(0)); err != nil {
		return err
	}
	if err := c.setClientAuth(); err != nil {
		return err
	}
	return c.listenTo(b, "openssl")
}

// listenTo reads the files and adds the listeners.
func (c *tlsSetup) listenTo(b *runtime.Builder, name string) error {
	if len(c.listen) == 0 {
		return errors.New(`listen is missing; expected an address: listen = "0.0.0.0:443"`)
	}
	if len(c.settings.Pairs) == 0 {
		return errors.New(`pemfile is missing; expected a file with certificate and key: pemfile = "/etc/certs/server.pem"`)
	}
	if err := c.checkFiles(b.Files()); err != nil {
		return err
	}
	c.settings.Base = &c.base
	cfg, err := certs.New(c.settings)
	if err != nil {
		return err
	}
	for _, l := range c.listen {
		l.TLS = cfg
		if err := b.Listen(l); err != nil {
			return err
		}
	}
	for _, reason := range c.noEffect {
		b.Log().Info("setup "+name+": "+reason, "pos", b.Pos().String())
	}
	return nil
}

// checkFiles keeps the files of an untrusted script in its directory.
func (c *tlsSetup) checkFiles(files luaio.Options) error {
	s := &c.settings
	names := []string{s.Chain, s.ClientCAs}
	pairs := s.Pairs
	if s.Fallback != nil {
		pairs = append(slices.Clone(pairs), *s.Fallback)
	}
	for _, f := range pairs {
		names = append(names, f.Cert, f.Key, f.OCSP)
	}
	for _, name := range names {
		if err := files.Contains(name); name != "" && err != nil {
			return err
		}
	}
	if s.Hosts == "" {
		return nil
	}
	return files.MayContain(s.Hosts)
}

func setTLSListen(c *tlsSetup, v runtime.Value) error {
	listeners, err := readListeners(v)
	for _, l := range listeners {
		if _, _, err := net.SplitHostPort(l.Address); err != nil && !strings.HasPrefix(l.Address, "unix:") {
			l.Address = net.JoinHostPort(strings.Trim(l.Address, "[]"), "443")
		}
		c.listen = append(c.listen, l)
	}
	return err
}

func setPemfile(c *tlsSetup, v runtime.Value) error {
	if list, ok := v.List(); ok && !v.IsHash() {
		for _, item := range list {
			if err := setPemfile(c, item); err != nil {
				return err
			}
		}
		return nil
	}
	f, err := pemFiles(v)
	if err == nil {
		c.settings.Pairs = append(c.settings.Pairs, f)
	}
	return err
}

var pemOptions = []option[certs.Files]{
	needed(stringOption("cert", "the certificate", func(f *certs.Files) *string { return &f.Cert })),
	needed(stringOption("key", "the key of the certificate", func(f *certs.Files) *string { return &f.Key })),
	stringOption("ocsp", "an OCSP response for the certificate, DER or PEM", func(f *certs.Files) *string { return &f.OCSP }),
}

var pemDescription = describeOptions(pemOptions, &certs.Files{})

// pemFiles reads one certificate: the name of a file, or a table with cert and key.
func pemFiles(v runtime.Value) (f certs.Files, err error) {
	if s, ok := v.Str(); ok {
		return certs.Files{Cert: s, Key: s}, nil
	}
	pairs, ok := v.Pairs()
	if !ok {
		return f, fmt.Errorf("expected the name of a file, or { cert = …, key = … }, got %s", v.Kind())
	}
	if err := readOptions(&f, pemOptions, pairs); err != nil {
		return f, err
	}
	if f.Cert == "" || f.Key == "" {
		return f, errors.New("expected both cert and key")
	}
	return f, nil
}

func setVerify(c *tlsSetup, v runtime.Value) error {
	on, ok := v.Bool()
	if !ok {
		return fmt.Errorf("expected true or false, got %s", v)
	}
	c.verify, c.verifyGiven = on, true
	return nil
}

func setNoEffect(reason string) func(*tlsSetup, runtime.Value) error {
	return func(c *tlsSetup, _ runtime.Value) error {
		c.noEffect = append(c.noEffect, reason)
		return nil
	}
}

// setClientAuth decides what is asked of clients. What would have no effect is refused, so
// that nobody takes it for protection.
func (c *tlsSetup) setClientAuth() error {
	if !c.verify {
		asks := c.verifyAny || c.verifyRequire || c.settings.ClientCAs != ""
		if asks && !c.verifyGiven {
			return errors.New("verify_any, verify_require and client_ca_file need verify = true")
		}
		return nil
	}
	switch {
	case c.verifyAny && c.verifyRequire:
		c.base.ClientAuth = tls.RequireAnyClientCert
	case c.verifyAny:
		c.base.ClientAuth = tls.RequestClientCert
	case c.settings.ClientCAs == "":
		return errors.New("verify needs client_ca_file, or verify_any = true")
	case c.verifyRequire:
		c.base.ClientAuth = tls.RequireAndVerifyClientCert
	default:
		c.base.ClientAuth = tls.VerifyClientCertIfGiven
	}
	return nil
}
