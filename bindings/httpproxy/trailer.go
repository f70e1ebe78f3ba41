package httpproxy

import "strings"

// onlyInHead are the fields that have no meaning, or a dangerous one, behind the body: those
// about framing, routing, authentication, the format of the body and the handling of the
// answer (RFC 9110 section 6.5.1). The keys are in lower case.
var onlyInHead = map[string]bool{
	"content-length": true, "content-encoding": true, "content-type": true, "content-range": true,
	"host": true, "max-forwards": true, "expect": true, "range": true, "if-match": true, "if-none-match": true,
	"if-modified-since": true, "if-unmodified-since": true, "if-range": true,
	"authorization": true, "proxy-authorization": true, "www-authenticate": true, "proxy-authenticate": true,
	"authentication-info": true, "proxy-authentication-info": true, "cookie": true, "set-cookie": true,
	"age": true, "cache-control": true, "expires": true, "date": true, "location": true, "retry-after": true,
	"vary": true, "warning": true, "pragma": true,
}

// trailer is what comes behind the body of a response.
type trailer struct {
	named  tokens // fields that belong to the connection
	fields []Field
}

func newTrailer(h *head) *trailer { return &trailer{named: h.named} }

func (t *trailer) drops(name string) bool {
	return perConnection(name) || t.named.has(name) || onlyInHead[strings.ToLower(name)]
}

func (t *trailer) add(name, value string) {
	if !t.drops(name) {
		t.fields = append(t.fields, Field{name, value})
	}
}

// all are the fields that have come.
func (t *trailer) all() []Field { return t.fields }

// announced returns the value of a Trailer field, "" when the upstream announces nothing that
// is passed on.
func (t *trailer) announced(names tokens) string {
	var kept []string
	for _, name := range names {
		if !t.drops(name) {
			kept = append(kept, name)
		}
	}
	return strings.Join(kept, ", ")
}
