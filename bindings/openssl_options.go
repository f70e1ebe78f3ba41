package bindings

import (
	"crypto/tls"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"luaserve/runtime"
)

var curves = map[string]tls.CurveID{
	"prime256v1": tls.CurveP256, "P-256": tls.CurveP256,
	"secp384r1": tls.CurveP384, "P-384": tls.CurveP384,
	"secp521r1": tls.CurveP521, "P-521": tls.CurveP521,
	"X25519": tls.X25519,
}

func setCurve(c *tlsSetup, v runtime.Value) error {
	name, _ := v.Str()
	id, ok := curves[name]
	if !ok {
		return fmt.Errorf("unknown curve %s; expected one of %s", v, strings.Join(slices.Sorted(maps.Keys(curves)), ", "))
	}
	c.base.CurvePreferences = []tls.CurveID{id}
	return nil
}

// tlsVersions are the versions in the names of OpenSSL's options, the oldest first.
var tlsVersions = []struct {
	option string
	id     uint16
}{{"TLSv1", tls.VersionTLS10}, {"TLSv1_1", tls.VersionTLS11}, {"TLSv1_2", tls.VersionTLS12}, {"TLSv1_3", tls.VersionTLS13}}

// idleOptions are OpenSSL's options that have no counterpart: workarounds for the bugs of
// others, and what crypto/tls never does or always does.
var idleOptions = []string{"MICROSOFT_SESS_ID_BUG", "NETSCAPE_CHALLENGE_BUG", "LEGACY_SERVER_CONNECT", "NETSCAPE_REUSE_CIPHER_CHANGE_BUG",
	"SSLREF2_REUSE_CERT_TYPE_BUG", "MICROSOFT_BIG_SSLV3_BUFFER", "MSIE_SSLV2_RSA_PADDING", "SSLEAY_080_CLIENT_DH_BUG", "TLS_D5_BUG",
	"TLS_BLOCK_PADDING_BUG", "DONT_INSERT_EMPTY_FRAGMENTS", "ALL", "QUERY_MTU", "COOKIE_EXCHANGE", "CISCO_ANYCONNECT",
	"SESSION_RESUMPTION_ON_RENEGOTIATION", "COMPRESSION", "ALLOW_UNSAFE_LEGACY_RENEGOTIATION", "SINGLE_ECDH_USE", "SINGLE_DH_USE",
	"EPHEMERAL_RSA", "CIPHER_SERVER_PREFERENCE", "TLS_ROLLBACK_BUG", "PKCS1_CHECK_1", "PKCS1_CHECK_2", "NETSCAPE_CA_DN_BUG",
	"NETSCAPE_DEMO_CIPHER_CHANGE_BUG", "CRYPTOPRO_TLSEXT_BUG"}

func setOpenSSLOptions(c *tlsSetup, v runtime.Value) error {
	names, ok := v.Strings()
	if !ok {
		return fmt.Errorf("expected a list of names, got %s", v.Kind())
	}
	versions := map[uint16]bool{tls.VersionTLS12: true, tls.VersionTLS13: true}
	for _, given := range names {
		name, off := strings.CutPrefix(strings.ToUpper(given), "NO_")
		if id := versionOfOption(name); id != 0 {
			versions[id] = !off
			continue
		}
		switch {
		case name == "TICKET":
			c.base.SessionTicketsDisabled = off
		case (name == "SSLV2" || name == "SSLV3") && off, slices.Contains(idleOptions, name):
		case name == "SSLV2" || name == "SSLV3":
			return fmt.Errorf("%s cannot be spoken: it is broken, and crypto/tls does not have it", given)
		default:
			return unknownOpenSSLOption(given)
		}
	}
	return c.setVersions(versions)
}

func versionOfOption(name string) uint16 {
	for _, v := range tlsVersions {
		if strings.ToUpper(v.option) == name {
			return v.id
		}
	}
	return 0
}

func unknownOpenSSLOption(given string) error {
	known := []string{"NO_TICKET", "NO_SSLv2", "NO_SSLv3"}
	for _, v := range tlsVersions {
		known = append(known, v.option, "NO_"+v.option)
	}
	for _, name := range idleOptions {
		known = append(known, name, "NO_"+name)
	}
	return runtime.Unknown("option", given, known)
}

// setVersions wants a range: that is what crypto/tls takes.
func (c *tlsSetup) setVersions(allowed map[uint16]bool) error {
	c.base.MinVersion, c.base.MaxVersion = 0, 0
	for _, v := range tlsVersions {
		switch {
		case !allowed[v.id]:
		case c.base.MinVersion == 0:
			c.base.MinVersion, c.base.MaxVersion = v.id, v.id
		case c.base.MaxVersion != v.id-1:
			return fmt.Errorf("the versions of TLS must follow one another, but %s comes behind a gap", v.option)
		default:
			c.base.MaxVersion = v.id
		}
	}
	if c.base.MinVersion == 0 {
		return errors.New("no version of TLS is left")
	}
	return nil
}
