package bindings

import (
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"slices"
	"strings"

	"luaserve/runtime"
)

// subjectNames are OpenSSL's short names of the parts of a subject, by their object
// identifiers.
var subjectNames = map[string]string{
	"2.5.4.3": "CN", "2.5.4.4": "SN", "2.5.4.5": "serialNumber", "2.5.4.6": "C", "2.5.4.7": "L", "2.5.4.8": "ST",
	"2.5.4.9": "street", "2.5.4.10": "O", "2.5.4.11": "OU", "2.5.4.12": "title", "2.5.4.13": "description",
	"2.5.4.15": "businessCategory", "2.5.4.17": "postalCode", "2.5.4.41": "name", "2.5.4.42": "GN", "2.5.4.43": "initials",
	"2.5.4.44": "generationQualifier", "2.5.4.45": "x500UniqueIdentifier", "2.5.4.46": "dnQualifier", "2.5.4.65": "pseudonym",
	"2.5.4.97": "organizationIdentifier", "1.2.840.113549.1.9.1": "emailAddress",
	"0.9.2342.19200300.100.1.1": "UID", "0.9.2342.19200300.100.1.25": "DC",
}

var setenvSubsets = []string{"client", "client-cert", "server", "server-cert"}

func newSetenv(_ *runtime.Builder, args runtime.Args) (runtime.Action, error) {
	subsets := args.Strings(0)
	for _, s := range subsets {
		if !slices.Contains(setenvSubsets, s) {
			return nil, fmt.Errorf("unknown subset %q; expected some of %s", s, strings.Join(setenvSubsets, ", "))
		}
	}
	return runtime.ActionFunc(func(vr *runtime.VRequest) error {
		for _, s := range subsets {
			side, what, _ := strings.Cut(s, "-")
			cert := clientCertificate(vr)
			if side == "server" {
				cert = serverCertificate(vr)
			}
			prefix := "SSL_" + strings.ToUpper(side)
			if what == "cert" {
				setCertificate(&vr.Env, prefix+"_CERT", cert)
			} else {
				setSubject(&vr.Env, prefix+"_S_DN_", cert)
			}
		}
		return nil
	}), nil
}

func clientCertificate(vr *runtime.VRequest) *x509.Certificate {
	if vr.Con.TLS == nil || len(vr.Con.TLS.PeerCertificates) == 0 {
		return nil
	}
	return vr.Con.TLS.PeerCertificates[0]
}

func serverCertificate(vr *runtime.VRequest) *x509.Certificate {
	if vr.Con.Certificate == nil {
		return nil
	}
	return vr.Con.Certificate()
}

func setCertificate(env *runtime.Environment, name string, cert *x509.Certificate) {
	if cert != nil {
		env.Set(name, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Raw})))
	}
}

// setSubject sets an entry for each part of the subject; of several of a kind the last one
// counts.
func setSubject(env *runtime.Environment, prefix string, cert *x509.Certificate) {
	if cert == nil {
		return
	}
	for _, part := range cert.Subject.Names {
		name, known := subjectNames[part.Type.String()]
		if value, ok := part.Value.(string); ok && known {
			env.Set(prefix+name, value)
		}
	}
}
