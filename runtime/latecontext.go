package runtime

import (
	"context"
	"time"
)

// LateContext is [VRequest.Context] for actions that seldom wait for long: the client is
// watched only from when somebody asks for more than Err, which is nil until then.
func (vr *VRequest) LateContext() context.Context {
	if vr.ctx != nil {
		return vr.ctx
	}
	if vr.late == nil {
		vr.late = &lateContext{}
	}
	vr.late.vr = vr
	return vr.late
}

// lateContext becomes the context of the request when it is needed. That happens in the
// goroutine of the request; others may use it afterwards, also when the request is over. One
// that was not needed is used again.
type lateContext struct {
	vr  *VRequest
	ctx context.Context // nil until it was needed
}

func (l *lateContext) now() context.Context {
	if l.ctx == nil {
		l.ctx, l.vr = l.vr.Context(), nil
	}
	return l.ctx
}

func (l *lateContext) Deadline() (time.Time, bool) { return l.now().Deadline() }
func (l *lateContext) Done() <-chan struct{}       { return l.now().Done() }
func (l *lateContext) Value(key any) any           { return l.now().Value(key) }

func (l *lateContext) Err() error {
	if l.ctx == nil {
		return nil
	}
	return l.ctx.Err()
}
