package httpproxy

import (
	"net/http"
	"slices"
	"strings"
)

// onlyInHead are the fields that have no meaning, or a dangerous one, behind the body: those
// about framing, routing, authentication, the format of the body and the handling of the
// answer (RFC 9110 section 6.5.1). The keys are canonical.
var onlyInHead = map[string]bool{
	"Content-Length": true, "Content-Encoding": true, "Content-Type": true, "Content-Range": true,
	"Host": true, "Max-Forwards": true, "Expect": true, "Range": true, "If-Match": true, "If-None-Match": true,
	"If-Modified-Since": true, "If-Unmodified-Since": true, "If-Range": true,
	"Authorization": true, "Proxy-Authorization": true, "Www-Authenticate": true, "Proxy-Authenticate": true,
	"Authentication-Info": true, "Proxy-Authentication-Info": true, "Cookie": true, "Set-Cookie": true,
	"Age": true, "Cache-Control": true, "Expires": true, "Date": true, "Location": true, "Retry-After": true,
	"Vary": true, "Warning": true, "Pragma": true,
}

// trailer is what comes behind the body of a response.
type trailer struct {
	resp  *http.Response
	named tokens // fields that belong to the connection
}

// newTrailer returns nil when nothing can come there.
func newTrailer(resp *http.Response) *trailer {
	if !slices.Contains(resp.TransferEncoding, "chunked") {
		return nil
	}
	return &trailer{resp, namedByConnection(resp.Header)}
}

func (t *trailer) drops(name string) bool {
	return perConnection(name) || t.named.has(name) || onlyInHead[name] || !isToken(name)
}

// fields are those that have come, in the order of their names.
func (t *trailer) fields() []Field { return passedOn(t.resp.Trailer, t.drops) }

// announced returns the value of a Trailer field, "" when the upstream announces nothing that
// is passed on.
func (t *trailer) announced() string {
	var names []string
	for name := range t.resp.Trailer {
		if !t.drops(name) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return strings.Join(names, ", ")
}
