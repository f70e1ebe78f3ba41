package bindings

import (
	"crypto/tls"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"luaserve/runtime"
)

func gnutlsModule() *runtime.Module {
	return &runtime.Module{
		Name: "gnutls",
		Doc:  "Listens for TLS connections, in the way that lighttpd2's mod_gnutls is configured. It is the same as openssl, with other names; both may be used in one script.",
		Setups: []runtime.Setup{
			{Name: "gnutls", Run: setupGnuTLS,
				Doc:     "Listens for TLS connections. An address without a port is one with port 443.",
				Example: `setup.gnutls { listen = { "0.0.0.0:443", "[::]:443" }, pemfile = { cert = "server.pem", key = "server.pem" } }`,
				Params:  []runtime.Param{{Name: "options", Type: runtime.TPairs, Options: describeOptions(gnutlsOptions, &gnutlsSetup{})}}},
			{Name: "fetch.files_static", Run: setupFilesStatic,
				Doc:     "Names files by what a star in their path stands for, for sni_backend. New files are found as changed ones are.",
				Example: `setup.fetch.files_static("sni", "/etc/certs/sni_*.pem")`,
				Params: []runtime.Param{
					{Name: "name", Type: runtime.TString},
					{Name: "pattern", Type: runtime.TString, Doc: "a path with exactly one *"}}},
		},
	}
}

// gnutlsSetup is what a script says of TLS listeners in mod_gnutls's names.
type gnutlsSetup struct {
	*tlsSetup
	backend string
}

var gnutlsOptions = []option[gnutlsSetup]{
	tlsListenOption(common(setTLSListen)),
	{name: "pemfile", typ: "string|string[]|table|table[]", many: true, set: common(setPemfile), inner: pemDescription,
		doc: "a file with certificate, intermediate certificates, key and, if wanted, an OCSP response, or a table; a list of these, or several pemfile: the first is for clients that name no host or an unknown one, the others for the names in them, wildcards included"},
	{name: "pin", typ: "string", set: setPIN, doc: "not to be had: write keys without a password"},
	{name: "priority", typ: "string", set: common(setPriority),
		doc: "a GnuTLS priority string: NORMAL, PFS, PERFORMANCE, SECURE or SECURE128, and which versions are spoken (-VERS-TLS1.2); what crypto/tls cannot leave out is an error"},
	noEffectOption("dh_params", "crypto/tls has no key exchange with such parameters", gnutlsNoEffect),
	noEffectOption("protect_against_beast", "TLS 1.2 and later do not need protection against BEAST", gnutlsNoEffect),
	noEffectOption("session_db_size", "sessions are resumed with tickets, for which the server stores nothing", gnutlsNoEffect),
	stringOption("sni_backend", "the name of fetch.files_static: its files are for the server names that their star stands for, before all pemfile", func(g *gnutlsSetup) *string { return &g.backend }),
	{name: "sni_fallback_pemfile", typ: "string|table", set: setFallback, inner: pemDescription, doc: "as pemfile, for clients that name an unknown host"},
}

func gnutlsNoEffect(reason string) func(*gnutlsSetup, runtime.Value) error {
	return common(setNoEffect(reason))
}

func common(set func(*tlsSetup, runtime.Value) error) func(*gnutlsSetup, runtime.Value) error {
	return func(g *gnutlsSetup, v runtime.Value) error { return set(g.tlsSetup, v) }
}

func setupGnuTLS(b *runtime.Builder, args runtime.Args) error {
	g := &gnutlsSetup{tlsSetup: newTLSSetup(b.Log())}
	if err := readOptions(g, gnutlsOptions, args.Pairs(0)); err != nil {
		return err
	}
	if g.backend != "" {
		known := filesStaticOf(b)
		pattern, ok := known[g.backend]
		if !ok {
			return fmt.Errorf("sni_backend: there is no fetch.files_static %q before", g.backend)
		}
		g.settings.Hosts = pattern
	}
	return g.listenTo(b, "gnutls")
}

func setPIN(*gnutlsSetup, runtime.Value) error {
	return errors.New("encrypted keys cannot be read; write the key without a password: openssl pkey -in KEY -out FILE")
}

func setFallback(g *gnutlsSetup, v runtime.Value) error {
	f, err := pemFiles(v)
	g.settings.Fallback = &f
	return err
}

type filesStaticKey struct{}

// filesStaticOf returns the patterns of fetch.files_static by name; it is written to while
// the script is loaded only.
func filesStaticOf(b *runtime.Builder) map[string]string {
	return b.Shared(filesStaticKey{}, func() any { return map[string]string{} }).(map[string]string)
}

func setupFilesStatic(b *runtime.Builder, args runtime.Args) error {
	name, pattern := args.Str(0), args.Str(1)
	if strings.Count(pattern, "*") != 1 || strings.ContainsAny(pattern, `?[\`) || !strings.Contains(filepath.Base(pattern), "*") {
		return fmt.Errorf(`pattern: expected a path with exactly one "*", in its last part, got %q`, pattern)
	}
	known := filesStaticOf(b)
	if _, ok := known[name]; ok {
		return fmt.Errorf("%q is there already", name)
	}
	known[name] = pattern
	return nil
}

// priorityLevels are the words that a priority string begins with. Those that ask for 192
// bits and more are not among them: crypto/tls always speaks AES-128 in TLS 1.3.
var priorityLevels = []string{"NORMAL", "PFS", "PERFORMANCE", "SECURE", "SECURE128"}

// priorityVersions are the versions by their names in priority strings.
var priorityVersions = map[string]uint16{
	"VERS-TLS1.0": tls.VersionTLS10, "VERS-TLS1.1": tls.VersionTLS11, "VERS-TLS1.2": tls.VersionTLS12, "VERS-TLS1.3": tls.VersionTLS13,
}

// absentAlgorithms are what crypto/tls does not have or does not offer by itself: they are
// left out already.
var absentAlgorithms = strings.Fields("VERS-SSL3.0 VERS-DTLS1.0 VERS-DTLS1.2 VERS-DTLS-ALL 3DES-CBC ARCFOUR-128 ARCFOUR-40 RC2-40 DES-CBC " +
	"CAMELLIA-128-CBC CAMELLIA-256-CBC CAMELLIA-128-GCM CAMELLIA-256-GCM AES-128-CCM AES-256-CCM AES-128-CCM-8 AES-256-CCM-8 NULL " +
	"MD5 MD2 RMD160 UMAC-96 UMAC-128 RSA RSA-EXPORT RSA-PSK PSK DHE-PSK ECDHE-PSK SRP SRP-RSA SRP-DSS DHE-RSA DHE-DSS " +
	"ANON-DH ANON-ECDH COMP-DEFLATE COMP-ALL CTYPE-OPENPGP GROUP-SECP192R1 GROUP-SECP224R1 SIGN-RSA-MD5 SIGN-DSA-SHA1")

// presentAlgorithms are always there, as far as a client wants them.
var presentAlgorithms = strings.Fields("AES-128-GCM AES-256-GCM CHACHA20-POLY1305 AES-128-CBC AES-256-CBC SHA1 SHA256 SHA384 AEAD " +
	"ECDHE-RSA ECDHE-ECDSA COMP-NULL CTYPE-X509 CTYPE-X.509 GROUP-X25519 GROUP-SECP256R1 GROUP-SECP384R1 GROUP-SECP521R1 " +
	"GROUP-X25519-MLKEM768 SIGN-RSA-SHA256 SIGN-RSA-SHA384 SIGN-RSA-SHA512 SIGN-ECDSA-SHA256 SIGN-ECDSA-SHA384 SIGN-ECDSA-SHA512")

// idleFlags are flags without a counterpart: compatibility with old clients, what
// crypto/tls always does, and whose order of preference counts.
var idleFlags = strings.Fields("SERVER_PRECEDENCE COMPAT DUMBFW SAFE_RENEGOTIATION PARTIAL_RENEGOTIATION UNSAFE_RENEGOTIATION " +
	"DISABLE_SAFE_RENEGOTIATION LATEST_RECORD_VERSION SSL3_RECORD_VERSION STATELESS_COMPRESSION FALLBACK_SCSV NO_SESSION_HASH " +
	"FORCE_SESSION_HASH NO_ETM DISABLE_TLS13_COMPAT_MODE NO_SHUFFLE_EXTENSIONS ALLOW_SMALL_RECORDS")

// setPriority reads a priority string as far as crypto/tls can follow it: its versions.
// What is removed and cannot be is an error; removed and added again was about the order,
// which is crypto/tls's own.
func setPriority(c *tlsSetup, v runtime.Value) error {
	text, _ := v.Str()
	items := strings.Split(text, ":")
	if !slices.Contains(priorityLevels, items[0]) {
		return fmt.Errorf("expected a priority string that begins with one of %s, got %s", strings.Join(priorityLevels, ", "), v)
	}
	p := priority{versions: map[uint16]bool{tls.VersionTLS12: true, tls.VersionTLS13: true}}
	for _, item := range items[1:] {
		if item == "" {
			continue
		}
		var err error
		switch op, name := item[0], item[1:]; {
		case item == "%NO_TICKETS":
			c.base.SessionTicketsDisabled = true
		case op == '%' && !slices.Contains(idleFlags, name):
			err = runtime.Unknown("flag", name, append(slices.Clone(idleFlags), "NO_TICKETS"))
		case op == '%':
		case op == '+' || op == '-' || op == '!':
			err = p.change(op == '+', name)
		default:
			err = fmt.Errorf(`%q: expected "+", "-" or "!" and the name of an algorithm, or "%%" and a flag`, item)
		}
		if err != nil {
			return err
		}
	}
	if len(p.removed) > 0 {
		return fmt.Errorf("crypto/tls cannot leave out %s", strings.Join(p.removed, ", "))
	}
	return c.setVersions(p.versions)
}

// priority is a priority string that is being read.
type priority struct {
	versions map[uint16]bool
	removed  []string // of presentAlgorithms
}

func (p *priority) change(add bool, name string) error {
	switch id := priorityVersions[name]; {
	case id != 0:
		p.versions[id] = add
	case name == "VERS-TLS-ALL" || name == "VERS-ALL":
		for _, id := range priorityVersions {
			p.versions[id] = add
		}
	case slices.Contains(absentAlgorithms, name):
	case !slices.Contains(presentAlgorithms, name):
		return runtime.Unknown("algorithm", name, append(slices.Clone(absentAlgorithms), presentAlgorithms...))
	case add:
		p.removed = slices.DeleteFunc(p.removed, func(other string) bool { return other == name })
	default:
		p.removed = append(p.removed, name)
	}
	return nil
}
