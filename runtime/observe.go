package runtime

import (
	"slices"
	"sync/atomic"
	"time"
)

// Observer is told of every request of a program, whatever becomes of it, subrequests
// left out. Either function may be nil; both are called concurrently for different requests.
type Observer struct {
	Begin func(vr *VRequest) // the head of the request is there; no action has run
	End   func(vr *VRequest) // the answer was sent, or could not be; the request is reused next
}

// observers is the list of a program. It grows when a script asks for what needs one, at
// load or, in a handler, later; without any, a request only looks whether there is one.
type observers struct {
	list atomic.Pointer[[]Observer]
}

// Observe adds an observer to the program. It counts for requests that begin from now on.
// A module that can be asked for more than once uses it inside of [Builder.Shared].
func (b *Builder) Observe(o Observer) {
	all := &b.prog.observers
	for {
		old := all.list.Load()
		var list []Observer
		if old != nil {
			list = slices.Clone(*old)
		}
		list = append(list, o)
		if all.list.CompareAndSwap(old, &list) {
			return
		}
	}
}

// Shared returns the one value that belongs to key in this program, made by the first call.
func (b *Builder) Shared(key any, make func() any) any {
	p := b.prog
	p.sharedMu.Lock()
	defer p.sharedMu.Unlock()
	v, ok := p.sharedValues[key]
	if !ok {
		v = make()
		if p.sharedValues == nil {
			p.sharedValues = map[any]any{}
		}
		p.sharedValues[key] = v
	}
	return v
}

// begin tells the observers that the request is there. It remembers them: each hears of
// the end of what it heard the beginning of, and of nothing else.
func (o *observers) begin(vr *VRequest) {
	list := o.list.Load()
	if list == nil {
		return
	}
	vr.observers, vr.started = *list, time.Now()
	for _, ob := range vr.observers {
		if ob.Begin != nil {
			ob.Begin(vr)
		}
	}
}

func (vr *VRequest) tellEnd() {
	for _, ob := range vr.observers {
		if ob.End != nil {
			ob.End(vr)
		}
	}
}

// Started returns when the request began. It is known only in a program with observers.
func (vr *VRequest) Started() time.Time { return vr.started }

// BytesSent returns how many bytes of the body the front end took so far.
func (vr *VRequest) BytesSent() int64 {
	if vr.filtered != nil {
		return vr.filtered.sent
	}
	return vr.Out.sent
}

// WasCut reports whether the answer could not be sent to its end.
func (vr *VRequest) WasCut() bool { return vr.cut }
