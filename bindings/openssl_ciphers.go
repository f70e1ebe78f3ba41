package bindings

import (
	"crypto/tls"
	"errors"
	"fmt"
	"slices"
	"strings"

	"luaserve/runtime"
)

// suite is a cipher suite of TLS 1.2 that crypto/tls has and calls secure, with OpenSSL's
// name and the words that select it (openssl-ciphers(1)).
type suite struct {
	id    uint16
	name  string
	words []string
}

var suites = []suite{
	newSuite(tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, "ECDHE-ECDSA-AES128-GCM-SHA256", "aECDSA ECDSA AES AES128 AESGCM SHA256 TLSv1.2"),
	newSuite(tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256, "ECDHE-RSA-AES128-GCM-SHA256", "aRSA AES AES128 AESGCM SHA256 TLSv1.2"),
	newSuite(tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, "ECDHE-ECDSA-AES256-GCM-SHA384", "aECDSA ECDSA AES AES256 AESGCM SHA384 TLSv1.2"),
	newSuite(tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384, "ECDHE-RSA-AES256-GCM-SHA384", "aRSA AES AES256 AESGCM SHA384 TLSv1.2"),
	newSuite(tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256, "ECDHE-ECDSA-CHACHA20-POLY1305", "aECDSA ECDSA CHACHA20 SHA256 TLSv1.2"),
	newSuite(tls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256, "ECDHE-RSA-CHACHA20-POLY1305", "aRSA CHACHA20 SHA256 TLSv1.2"),
	newSuite(tls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA, "ECDHE-ECDSA-AES128-SHA", "aECDSA ECDSA AES AES128 SHA SHA1 TLSv1 TLSv1.0"),
	newSuite(tls.TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA, "ECDHE-RSA-AES128-SHA", "aRSA AES AES128 SHA SHA1 TLSv1 TLSv1.0"),
	newSuite(tls.TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA, "ECDHE-ECDSA-AES256-SHA", "aECDSA ECDSA AES AES256 SHA SHA1 TLSv1 TLSv1.0"),
	newSuite(tls.TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA, "ECDHE-RSA-AES256-SHA", "aRSA AES AES256 SHA SHA1 TLSv1 TLSv1.0"),
}

func newSuite(id uint16, name, words string) suite {
	common := []string{name, tls.CipherSuiteName(id), "ALL", "DEFAULT", "HIGH", "ECDHE", "EECDH", "kECDHE", "kEECDH"}
	return suite{id, name, append(common, strings.Fields(words)...)}
}

// absentWords select suites that crypto/tls does not have or does not call secure, so that
// adding them adds nothing and removing them changes nothing.
var absentWords = strings.Fields("COMPLEMENTOFDEFAULT COMPLEMENTOFALL MEDIUM LOW EXP EXPORT EXPORT40 EXPORT56 NULL eNULL aNULL " +
	"kRSA RSA DH ADH EDH DHE kDH kDHE kEDH kDHr kDHd ECDH AECDH kECDH kECDHr kECDHe aDH aDSS aECDH DSS aGOST kGOST " +
	"PSK kPSK kECDHEPSK kDHEPSK kRSAPSK aPSK SRP kSRP aSRP 3DES DES RC4 RC2 IDEA SEED MD5 " +
	"CAMELLIA CAMELLIA128 CAMELLIA256 ARIA ARIA128 ARIA256 AESCCM AESCCM8 SSLv2 SSLv3 " +
	"TLS_AES_128_GCM_SHA256 TLS_AES_256_GCM_SHA384 TLS_CHACHA20_POLY1305_SHA256")

// absentParts make up the names of the suites that crypto/tls does not have.
var absentParts = strings.Fields("ECDHE ECDH DHE EDH ADH AECDH PSK SRP RSA DSS ECDSA AES128 AES256 GCM CCM CCM8 SHA SHA256 SHA384 " +
	"DES CBC CBC3 3DES RC4 RC2 MD5 NULL EXP IDEA SEED CAMELLIA128 CAMELLIA256 ARIA128 ARIA256 CHACHA20 POLY1305")

func setCiphers(c *tlsSetup, v runtime.Value) error {
	text, ok := v.Str()
	if !ok {
		return fmt.Errorf("expected a string, got %s", v.Kind())
	}
	ids, err := parseCiphers(text)
	c.base.CipherSuites = ids
	return err
}

// parseCiphers reads a list in OpenSSL's notation: words that add the suites they select,
// with "-" before them remove them, with "!" for good; "+" before them is about the order,
// which is crypto/tls's own. "ECDHE+AESGCM" selects what both words do. An unknown word is
// an error: the removal of what it was meant to be would be missing.
func parseCiphers(text string) ([]uint16, error) {
	var chosen, killed []uint16
	for _, item := range strings.FieldsFunc(text, func(r rune) bool { return strings.ContainsRune(": ,", r) }) {
		if item == "@STRENGTH" {
			continue
		}
		op := item[0]
		words := strings.TrimLeft(item, "!-+")
		selected, err := selectSuites(words)
		if err != nil {
			return nil, err
		}
		for _, id := range selected {
			switch {
			case op == '!':
				killed = append(killed, id)
				fallthrough
			case op == '-':
				chosen = slices.DeleteFunc(chosen, func(other uint16) bool { return other == id })
			case op != '+' && !slices.Contains(killed, id) && !slices.Contains(chosen, id):
				chosen = append(chosen, id)
			}
		}
	}
	if len(chosen) == 0 {
		return nil, errors.New("no cipher suite is left of those that crypto/tls has: " + suiteNames())
	}
	return chosen, nil
}

func selectSuites(words string) ([]uint16, error) {
	var selected []uint16
	parts := strings.Split(words, "+")
	for _, word := range parts {
		if err := checkCipherWord(word); err != nil {
			return nil, err
		}
	}
	for _, s := range suites {
		if !slices.ContainsFunc(parts, func(word string) bool { return !slices.Contains(s.words, word) }) {
			selected = append(selected, s.id)
		}
	}
	return selected, nil
}

func checkCipherWord(word string) error {
	known := slices.Clone(absentWords)
	for _, s := range suites {
		known = append(known, s.words...)
	}
	if slices.Contains(known, word) {
		return nil
	}
	if parts := strings.Split(word, "-"); len(parts) > 1 && !slices.ContainsFunc(parts, func(p string) bool { return !slices.Contains(absentParts, p) }) {
		return nil
	}
	return runtime.Unknown("cipher", word, known)
}

func suiteNames() string {
	names := make([]string, len(suites))
	for i, s := range suites {
		names[i] = s.name
	}
	return strings.Join(names, ", ")
}
