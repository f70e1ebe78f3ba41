package runtime

import "net"

// A request that asks a backend can be left alone until the answer comes, instead of holding a
// goroutine and its stack: the action that asks returns what [VRequest.Pause] returns, all that
// called it returns too, and when the answer is there the front end has the request go on
// ([Reply.Resume]). That takes actions that know of it. What they have still to do is noted in
// frames on the way out; an action that does not know of it has no frame, so those below it must
// wait instead. It is safe by default: a node may pause only when all nodes above it have said so.

// Pauser is what an [Exchange] implements that can be left alone while its request waits.
type Pauser interface {
	Waiter
	// Adopt returns a connection in the place of nc that a request can pause for; or nc, when
	// there is none.
	Adopt(nc net.Conn) net.Conn
	// Send sends what there is room for on a connection that Adopt has returned. It may leave all
	// of it to whoever serves the request, who sends it when that pauses; then an error is found
	// when the answer is read.
	Send(to net.Conn, p []byte) (int, error)
	// Place tells those apart that serve requests: a request that pauses best waits for a
	// connection that it has adopted itself, or another one of its place. It is above 0.
	Place() int
	// CanPause reports whether the request may be left alone.
	CanPause() bool
}

// Resumer is the rest of an action that pauses. Resume does it, or pauses once more. With wait
// it has been called because nothing came for a while: it must wait, not pause.
type Resumer interface {
	Resume(vr *VRequest, wait bool) error
}

// pause is what a request waits for.
type pause struct {
	on   net.Conn // nil when the request is not paused
	then Resumer
}

// paused is the error that leads out of the pipeline of a request that pauses.
type paused struct{}

func (paused) Error() string { return "the request was paused where it cannot be" }

func isPaused(err error) bool {
	_, is := err.(paused) // nobody wraps it
	return is
}

// MayPause reports whether the action that runs may pause the request. It is to be asked before
// the action runs others.
func (vr *VRequest) MayPause() bool { return vr.mayPause }

// Pause has the request wait until something comes on a connection that [VRequest.Adopt]
// returned, and then go on with the rest of the action, which returns the error at once.
func (vr *VRequest) Pause(on net.Conn, then Resumer) error {
	vr.pause = pause{on, then}
	vr.Physical.batcher = nil // who answers may change files
	return paused{}
}

// Adopt returns the connection to a backend in a form for which requests can pause, if there is
// one.
func (vr *VRequest) Adopt(nc net.Conn) net.Conn {
	if p, ok := vr.exchange.(Pauser); ok {
		return p.Adopt(nc)
	}
	return nc
}

// Send sends a request over a connection that [VRequest.Adopt] has returned; see [Pauser].
func (vr *VRequest) Send(to net.Conn, p []byte) (int, error) {
	if s, ok := vr.exchange.(Pauser); ok {
		return s.Send(to, p)
	}
	return to.Write(p)
}

// Place is that of the front end, 0 when it has none; see [Pauser].
func (vr *VRequest) Place() int {
	if p, ok := vr.exchange.(Pauser); ok {
		return p.Place()
	}
	return 0
}

// Tail runs an action as the last thing that the calling action does, which then need not know
// anything of pausing.
func (vr *VRequest) Tail(a Action) error {
	vr.pass(vr.mayPause, a)
	return a.Run(vr)
}

// pass lets a node pause that is about to be run, if the one that runs it may. What is no node
// must wait.
func (vr *VRequest) pass(may bool, a Action) {
	vr.mayPause = false
	if may {
		vr.mayPauseIn, _ = a.(*Node)
	}
}

// frame is what an action has still to do when a request goes on that paused below it.
type frame struct {
	node     *Node // locates errors
	list     List  // goes on at next
	rules    *ruleList
	next     int
	captures int // how many are left behind it; -1 leaves them alone
}

func (vr *VRequest) pushFrame(f frame) { vr.frames = append(vr.frames, f) }

// proceed does what is left, after err came from below.
func (f *frame) proceed(vr *VRequest, err error) error {
	switch {
	case f.captures >= 0:
		vr.captures = vr.captures[:f.captures]
	case err != nil && f.node != nil:
		return f.node.locate(err)
	case err != nil:
	case f.rules != nil:
		return f.rules.run(vr, int32(f.next), true)
	case f.list != nil:
		return f.list.run(vr, f.next, true)
	}
	return err
}

// resume goes on with a request that was paused.
func (vr *VRequest) resume(wait bool) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = panicError(r)
		}
	}()
	frames, then := vr.frames, vr.pause.then
	vr.pause = pause{}
	if err = then.Resume(vr, wait); isPaused(err) {
		return err
	}
	vr.frames = nil // those who pause now push theirs before what is left of frames
	for i := range frames {
		if err = frames[i].proceed(vr, err); isPaused(err) {
			vr.frames = append(vr.frames, frames[i+1:]...)
			return err
		}
	}
	clear(frames)
	vr.frames = frames[:0]
	if err != nil {
		return err
	}
	return vr.finish()
}

// Paused returns what the request waits for, nil when the reply is complete.
func (r *Reply) Paused() net.Conn {
	if r.vr == nil {
		return nil
	}
	return r.vr.pause.on
}

// Resume goes on with a paused request: something has come on what it waits for, or with wait,
// nothing has for a while and the request shall wait for it now. The reply is complete
// afterwards, or paused again. A paused reply must be resumed before it is closed.
func (r *Reply) Resume(wait bool) {
	vr, closed := r.vr, r.closed
	err := vr.resume(wait)
	if isPaused(err) {
		return
	}
	if err != nil {
		vr.fail(err)
	}
	vr.makeReply().closed = closed
}
