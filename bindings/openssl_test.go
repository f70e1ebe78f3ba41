package bindings

import (
	"crypto/tls"
	"slices"
	"strings"
	"testing"

	"luaserve/runtime"
)

func TestParseCiphers(t *testing.T) {
	all := strings.Split(suiteNames(), ", ")
	gcm := []string{"ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-RSA-AES128-GCM-SHA256", "ECDHE-ECDSA-AES256-GCM-SHA384", "ECDHE-RSA-AES256-GCM-SHA384"}
	for _, c := range []struct {
		in   string
		want []string
	}{
		{"HIGH !aNULL !3DES +kEDH +kRSA !kSRP !kPSK", all}, // lighttpd2's default
		{"ECDHE+AESGCM", gcm},
		{"HIGH:!SHA:!CHACHA20", gcm},
		{"ALL:-SHA1:-CHACHA20:!aRSA:RSA:ECDHE-RSA-AES128-GCM-SHA256", []string{gcm[0], gcm[2]}},
		{"HIGH:-AESGCM:-CHACHA20:-AES128:ECDHE-RSA-AES128-GCM-SHA256", []string{"ECDHE-ECDSA-AES256-SHA", "ECDHE-RSA-AES256-SHA", gcm[1]}},
		{"ECDHE-RSA-AES128-GCM-SHA256:DHE-RSA-AES128-GCM-SHA256:TLS_AES_128_GCM_SHA256,@STRENGTH", gcm[1:2]},
		{"TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256", gcm[1:2]},
	} {
		ids, err := parseCiphers(c.in)
		var got []string
		for _, id := range ids {
			i := slices.IndexFunc(suites, func(s suite) bool { return s.id == id })
			got = append(got, suites[i].name)
		}
		if err != nil || !slices.Equal(got, c.want) {
			t.Errorf("%s: got %q, %v; want %q", c.in, got, err, c.want)
		}
	}
	for in, want := range map[string]string{
		"":                   "no cipher suite is left",
		"HIGH:!ALL":          "no cipher suite is left",
		"AES128-SHA:RC4":     "no cipher suite is left",
		"HIGH:!AESGMC":       `unknown cipher "AESGMC"; did you mean "AESGCM"?`,
		"HIGH:!ECDHE-AES-XX": `unknown cipher "ECDHE-AES-XX"`,
		"HIGH:!":             `unknown cipher ""`,
	} {
		if ids, err := parseCiphers(in); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, %v; want %s", in, ids, err, want)
		}
	}
}

// The table has all suites of TLS 1.2 that crypto/tls calls secure, and no other.
func TestSuitesAreThoseOfCryptoTLS(t *testing.T) {
	var want, got []uint16
	for _, s := range tls.CipherSuites() {
		if s.SupportedVersions[0] != tls.VersionTLS13 {
			want = append(want, s.ID)
		}
	}
	for _, s := range suites {
		got = append(got, s.id)
	}
	slices.Sort(want)
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestVersions(t *testing.T) {
	words := func(s string) runtime.Value {
		var list []runtime.Value
		for _, w := range strings.Fields(s) {
			list = append(list, runtime.StringValue(w))
		}
		return runtime.ListValue(list...)
	}
	for _, c := range []struct {
		set      func(*tlsSetup, runtime.Value) error
		in       runtime.Value
		min, max uint16
		tickets  bool
		err      string
	}{
		{setOpenSSLOptions, words("ALL NO_SSLv2 no_sslv3 CIPHER_SERVER_PREFERENCE NO_COMPRESSION"), tls.VersionTLS12, tls.VersionTLS13, true, ""},
		{setOpenSSLOptions, words("NO_TICKET NO_TLSv1 NO_TLSv1_1 NO_TLSv1_2"), tls.VersionTLS13, tls.VersionTLS13, false, ""},
		{setOpenSSLOptions, words("NO_TLSv1_3"), tls.VersionTLS12, tls.VersionTLS12, true, ""},
		{setOpenSSLOptions, words("TLSv1 TLSv1_1"), tls.VersionTLS10, tls.VersionTLS13, true, ""},
		{setOpenSSLOptions, words("TLSv1"), 0, 0, true, "the versions of TLS must follow one another, but TLSv1_2 comes behind a gap"},
		{setOpenSSLOptions, words("NO_TLSv1_2 NO_TLSv1_3"), 0, 0, true, "no version of TLS is left"},
		{setOpenSSLOptions, words("SSLv3"), 0, 0, true, "SSLv3 cannot be spoken"},
		{setOpenSSLOptions, words("NO_TICKETS"), 0, 0, true, `unknown option "NO_TICKETS"; did you mean "NO_TICKET"?`},
		{setPriority, runtime.StringValue("PFS:-3DES-CBC:-ARCFOUR-128:-VERS-SSL3.0:-SHA1:+SHA1:+RSA:%SERVER_PRECEDENCE"), tls.VersionTLS12, tls.VersionTLS13, true, ""},
		{setPriority, runtime.StringValue("NORMAL:-VERS-TLS-ALL:+VERS-TLS1.3:%NO_TICKETS"), tls.VersionTLS13, tls.VersionTLS13, false, ""},
		{setPriority, runtime.StringValue("SECURE128:!VERS-TLS1.3"), tls.VersionTLS12, tls.VersionTLS12, true, ""},
		{setPriority, runtime.StringValue("NORMAL:-AES-128-CBC:-SHA1"), 0, 0, true, "crypto/tls cannot leave out AES-128-CBC, SHA1"},
		{setPriority, runtime.StringValue("NORMAL:-AES-128-CBX"), 0, 0, true, `unknown algorithm "AES-128-CBX"; did you mean "AES-128-CBC"?`},
		{setPriority, runtime.StringValue("NORMAL:%NO_TICKET"), 0, 0, true, `unknown flag "NO_TICKET"; did you mean "NO_TICKETS"?`},
		{setPriority, runtime.StringValue("NORMAL:SHA1"), 0, 0, true, `"SHA1": expected "+", "-" or "!"`},
		{setPriority, runtime.StringValue("SECURE256"), 0, 0, true, "expected a priority string that begins with one of NORMAL"},
	} {
		var s tlsSetup
		err := c.set(&s, c.in)
		if c.err != "" {
			if err == nil || !strings.Contains(err.Error(), c.err) {
				t.Errorf("%s: got %v, want %s", c.in, err, c.err)
			}
			continue
		}
		if err != nil || s.base.MinVersion != c.min || s.base.MaxVersion != c.max || s.base.SessionTicketsDisabled == c.tickets {
			t.Errorf("%s: got %x to %x, no tickets %v, %v", c.in, s.base.MinVersion, s.base.MaxVersion, s.base.SessionTicketsDisabled, err)
		}
	}
}
