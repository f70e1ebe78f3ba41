package runtime

import (
	"strings"
)

// TakesTrailers reports whether the client asks for fields behind the body of the response,
// which HTTP/1.0 has no room for (RFC 9110, 6.5 and 10.1.4).
func (vr *VRequest) TakesTrailers() bool {
	if vr.parent != nil || vr.Request.Version == "HTTP/1.0" {
		return false
	}
	for name, value := range vr.Request.Header.All() {
		if !sameName(name, "TE") {
			continue
		}
		for coding := range strings.SplitSeq(value, ",") {
			if strings.EqualFold(strings.Trim(coding, " \t"), "trailers") {
				return true
			}
		}
	}
	return false
}

// PassTrailer has fields sent behind the body that [VRequest.HandleBackend] was given just
// before. The function is called when that was sent to its end. Nothing is sent behind a body
// that was changed, by a filter or by another action: the fields may tell of what it was. A
// field Trailer of the response, which announces them, is dropped then, too.
func (vr *VRequest) PassTrailer(fields func() []Field) {
	if n := len(vr.Out.chunks); n > 0 {
		vr.Out.chunks[n-1].trailer = fields
	}
}

// takeTrailer returns what follows a body that is one stream from a backend and goes out in
// chunks; where nothing can follow, nothing is announced either.
func takeTrailer(body *ChunkQueue, length int64, h *Header) func() []Field {
	if length < 0 && len(body.chunks) == 1 && body.chunks[0].trailer != nil {
		return body.chunks[0].trailer
	}
	h.Remove("Trailer")
	return nil
}

// Trailer returns fields to send behind the body, for a front end that can: it asks when
// [Reply.WriteBody] has returned without an error.
func (r *Reply) Trailer() []Field {
	if r.trailer == nil {
		return nil
	}
	return r.trailer()
}
