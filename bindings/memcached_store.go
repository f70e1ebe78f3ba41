package bindings

import (
	"io"
	"net/http"
	"strings"

	"luaserve/runtime"
)

func newMemcachedStore(b *runtime.Builder, args runtime.Args) (runtime.Action, error) {
	o, err := readMemcachedOptions(b, args.Pairs(0), defaultStoreSize)
	if err != nil {
		return nil, err
	}
	return runtime.ActionFunc(func(vr *runtime.VRequest) error {
		key := o.key.Eval(vr, nil) // here: its captures are gone at the end
		if reason := unfitToStore(vr); reason != "" {
			o.say(vr, "not stored: "+reason, key)
			return nil
		}
		if !vr.HasFilterOut() && bodySize(vr) > o.maxSize { // it need not pass a filter then
			o.say(vr, "not stored: the body is too large", key)
			return nil
		}
		s := &storedBody{memcachedOptions: o, vr: vr, name: key, length: announcedBody(vr)}
		vr.AddFilterOut(runtime.NewFilter(s.handle))
		vr.OnFinish(s.store)
		return nil
	}), nil
}

// unfitToStore says why an answer is not for others; "" when it is.
func unfitToStore(vr *runtime.VRequest) string {
	h := &vr.Response.Header
	switch {
	case vr.Request.Method != http.MethodGet:
		return "the method is not GET"
	case !vr.HasResponse():
		return "nobody has answered the request yet"
	case vr.Response.Status != http.StatusOK:
		return "the status is not 200"
	case h.Has("Content-Encoding"):
		return "the answer has a Content-Encoding"
	case h.Has("Set-Cookie"):
		return "the answer has a Set-Cookie"
	case forOneClient(h):
		return "Cache-Control says private or no-store"
	}
	return ""
}

// forOneClient reports whether Cache-Control forbids to give the answer to other clients
// (RFC 9111, 5.2.2). private may come with names of fields; no field is ever stored, but
// a body that comes with such is not trusted either.
func forOneClient(h *runtime.Header) bool {
	for i := range h.Len() {
		f := h.At(i)
		if !strings.EqualFold(f.Name, "Cache-Control") {
			continue
		}
		for item := range strings.SplitSeq(f.Value, ",") {
			name, _, _ := strings.Cut(item, "=")
			if name = strings.ToLower(strings.TrimSpace(name)); name == "private" || name == "no-store" {
				return true
			}
		}
	}
	return false
}

// storedBody is a copy of a body on its way.
type storedBody struct {
	*memcachedOptions
	vr      *runtime.VRequest
	name    string
	length  int64 // what the head says, -1 for nothing
	body    []byte
	dropped bool // it got too large
	whole   bool // its end was seen
}

// handle is the filter.
func (s *storedBody) handle(in, out *runtime.ChunkQueue) error {
	n := in.Len()
	if s.dropped = s.dropped || int64(len(s.body))+n > s.maxSize; s.dropped {
		s.body = nil
		out.StealAll(in)
	} else if n > 0 {
		piece := make([]byte, n)
		if _, err := io.ReadFull(in, piece); err != nil {
			return err
		}
		s.body = append(s.body, piece...)
		out.Add(piece)
	}
	if in.IsClosed() {
		s.whole = true
		out.SetClosed(true)
	}
	return nil
}

// store is called when the answer was sent, so that no client waits for memcached. The
// status counts as it is then: actions behind this one may have changed it.
func (s *storedBody) store() {
	switch {
	case s.dropped:
		s.say(s.vr, "not stored: the body is too large", s.name)
	case !s.whole || s.length >= 0 && s.length != int64(len(s.body)):
		s.say(s.vr, "not stored: the body is incomplete", s.name)
	case s.vr.Response.Status != http.StatusOK:
		s.say(s.vr, "not stored: the status is not 200 any more", s.name)
	case s.server.set(s.name, uint32(s.flags), s.ttl, s.body) == nil:
		s.say(s.vr, "stored", s.name)
	}
}
