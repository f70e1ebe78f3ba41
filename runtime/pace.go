package runtime

import (
	"io"
	"slices"
)

// PaceBytes is how much of a body is sent at once while something sets the pace.
const PaceBytes = 16 << 10

// pacer is one of the things that set the pace of a response.
type pacer struct {
	key  any
	wait func(n int) error
}

// Pace has wait called before each piece of the response body goes out, of n bytes, at
// most [PaceBytes]: it returns when they may; an error cuts the response. It is called
// when no Lua runs for the request. A later call with the same key replaces the earlier
// one; nil ends it. The answer of a subrequest goes to nobody who could wait: it has no pace.
func (vr *VRequest) Pace(key any, wait func(n int) error) {
	if vr.parent != nil {
		return
	}
	vr.pacers = slices.DeleteFunc(vr.pacers, func(p pacer) bool { return p.key == key })
	if wait != nil {
		vr.pacers = append(vr.pacers, pacer{key, wait})
	}
}

// pacedWriter waits before it writes. It does not let the kernel copy files: what is slow
// on purpose need not be cheap as well.
type pacedWriter struct {
	w      io.Writer
	flush  func() // may be nil
	pacers []pacer
}

func (p *pacedWriter) Write(data []byte) (written int, err error) {
	for len(data) > 0 {
		piece := data[:min(len(data), PaceBytes)]
		for _, pacer := range p.pacers {
			if err := pacer.wait(len(piece)); err != nil {
				return written, err
			}
		}
		n, err := p.w.Write(piece)
		written += n
		if err != nil {
			return written, err
		}
		if p.flush != nil {
			p.flush()
		}
		data = data[n:]
	}
	return written, nil
}
