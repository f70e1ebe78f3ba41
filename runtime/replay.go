package runtime

import (
	"bytes"
	"io"
)

// replay is what [VRequest.RewindBody] needs to know.
type replay struct {
	in    *ChunkQueue // the body, nil until KeepBody
	limit int64
	whole bool   // all holds the body
	all   []byte // never written to
}

// KeepBody has the request body kept, so that it can be given to another backend when the
// first one did not take the request: [VRequest.RewindBody] makes it readable again. No more
// than limit bytes are kept. The body of the client is kept while it is read; one that a
// script has changed or filters is read here, up to [Config.MaxBufferedBody]: a longer one is
// a 413.
func (vr *VRequest) KeepBody(limit int64) error {
	r := &vr.replay
	*r = replay{in: vr.In, limit: limit}
	if !vr.BodyChanged() {
		if vr.body != nil {
			vr.body.limit = limit
		}
		r.whole = vr.body == nil
		return nil
	}
	n, err := vr.In.Measure(vr.prog.maxBody)
	if err != nil || n > limit {
		return err
	}
	if r.all, err = io.ReadAll(vr.In); err != nil {
		return err
	}
	r.whole = true
	vr.rewind()
	return nil
}

// RewindBody makes the request body what it was when [VRequest.KeepBody] was called, also
// where a filter was added since. It reports whether it could; when not, some of it is lost.
//
// untaken says that no backend took the request: then a body that is too long to be kept is
// still good as long as nothing was read of it. Where one did, it may go on reading a long
// body in a goroutine of its own, so such a body is left alone.
func (vr *VRequest) RewindBody(untaken bool) bool {
	r, b := &vr.replay, vr.body
	switch {
	case r.whole:
		vr.rewind()
		return true
	case b == nil || r.in == nil, !untaken && b.length > r.limit:
		return false
	case b.isKept():
		b.rewind()
		r.in.Reset()
		r.in.AddStream(b)
		r.in.closed, r.in.taken = false, false
		vr.In = r.in
		return true
	}
	return untaken && !vr.In.taken
}

// rewind puts back the body that is kept as a whole.
func (vr *VRequest) rewind() {
	vr.In = vr.replay.in
	vr.In.Reset()
	vr.In.Add(vr.replay.all)
	vr.In.closed, vr.In.taken = true, false
}

// keep remembers what was just read, unless it has become too much.
func (b *requestBody) keep(p []byte) {
	switch {
	case b.limit == 0:
	case b.taken > b.limit:
		b.kept = nil
	case int64(len(b.kept)+len(p)) == b.taken:
		b.kept = append(b.kept, p...)
	}
}

// isKept reports whether everything that was read of the body can be read again.
func (b *requestBody) isKept() bool { return int64(len(b.kept)) == b.taken }

func (b *requestBody) rewind() {
	if b.taken > 0 {
		b.source = io.MultiReader(bytes.NewReader(b.kept), b.source)
		b.taken, b.kept = 0, nil
	}
}
