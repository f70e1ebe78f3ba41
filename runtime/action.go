package runtime

import (
	"errors"
	"fmt"
	"time"
)

// Action is a node of the pipeline. Run does the node's work for one request: it may
// change the request, claim it, or wait for a backend. An error ends the pipeline for
// this request and is answered with its status (see [StatusError]), 500 otherwise: a rule
// that broke never lets the request pass. Run is called concurrently for different requests.
type Action interface {
	Run(vr *VRequest) error
}

// ActionFunc is a function that is an [Action].
type ActionFunc func(vr *VRequest) error

// Run calls f.
func (f ActionFunc) Run(vr *VRequest) error { return f(vr) }

// Pos is a place in a script.
type Pos struct {
	File string
	Line int
}

// String prints the place as editors understand it: site.lua:12.
func (p Pos) String() string {
	if p.File == "" {
		return ""
	}
	return fmt.Sprintf("%s:%d", p.File, p.Line)
}

// Node is an action with its name and the place in the script where it was made.
type Node struct {
	Name string
	Pos  Pos
	Act  Action
}

// Run runs the action; an error gets the node's name and place, once.
func (n *Node) Run(vr *VRequest) error {
	if vr.trace != nil {
		return vr.trace.run(n)
	}
	vr.mayPause, vr.mayPauseIn = vr.mayPauseIn == n, nil
	if err := n.Act.Run(vr); err != nil {
		return n.leave(vr, err)
	}
	return nil
}

// leave is how an error passes the node.
func (n *Node) leave(vr *VRequest, err error) error {
	if isPaused(err) {
		vr.pushFrame(frame{node: n, captures: -1})
		return err
	}
	return n.locate(err)
}

// locate gives an error the node's name and place unless it has one already.
func (n *Node) locate(err error) error {
	var located *ActionError
	if errors.As(err, &located) {
		return err
	}
	return &ActionError{Node: n, Err: err}
}

// ActionError is an error of one action of the pipeline.
type ActionError struct {
	Node *Node
	Err  error
}

// Error prints site.lua:12: name: what went wrong.
func (e *ActionError) Error() string {
	if e.Node.Pos.File == "" {
		return e.Node.Name + ": " + e.Err.Error()
	}
	return e.Node.Pos.String() + ": " + e.Node.Name + ": " + e.Err.Error()
}

// Unwrap returns the cause.
func (e *ActionError) Unwrap() error { return e.Err }

// StatusError is an error that is answered with a status of its own: a backend that
// cannot be reached is a 503.
type StatusError struct {
	Status int
	Err    error
	// RetryAfter is how long the client should wait before it asks again (RFC 9110, 10.2.3):
	// it is told the whole seconds, rounded up. 0 says nothing.
	RetryAfter time.Duration
}

// Error returns the text of the cause.
func (e *StatusError) Error() string { return e.Err.Error() }

// Unwrap returns the cause.
func (e *StatusError) Unwrap() error { return e.Err }

// List runs actions one after another. Claiming the request does not end the list: later
// actions may look at and change the response.
type List []Action

// Run runs every action until one fails.
func (l List) Run(vr *VRequest) error { return l.run(vr, 0, vr.mayPause) }

func (l List) run(vr *VRequest, first int, mayPause bool) error {
	for i := first; i < len(l); i++ {
		vr.pass(mayPause, l[i])
		if err := l[i].Run(vr); err != nil {
			if isPaused(err) && i+1 < len(l) {
				vr.pushFrame(frame{list: l, next: i + 1, captures: -1})
			}
			return err
		}
	}
	return nil
}

// When runs Then when the condition holds and Else when it does not; each may be nil.
// The captures of a regex are visible in the branch and gone behind it.
type When struct {
	Cond       *Condition
	Then, Else Action
}

// Run tests the condition and runs a branch.
func (w *When) Run(vr *VRequest) error {
	depth, mayPause := len(vr.captures), vr.mayPause
	ok, err := w.Cond.Eval(vr)
	if err == nil {
		branch := w.branch(vr, ok)
		if branch != nil {
			vr.pass(mayPause, branch)
			err = branch.Run(vr)
		}
	}
	return vr.dropCaptures(depth, err)
}

// dropCaptures ends the scope of captures; of a paused request it ends later.
func (vr *VRequest) dropCaptures(depth int, err error) error {
	if isPaused(err) {
		vr.pushFrame(frame{captures: depth})
	} else {
		vr.captures = vr.captures[:depth]
	}
	return err
}

// branch returns what is to run, nil for nothing.
func (w *When) branch(vr *VRequest, holds bool) Action {
	branch, name := w.Else, branchElse
	if holds {
		branch, name = w.Then, branchThen
	}
	if vr.trace != nil && branch != nil {
		vr.trace.branch(name)
	}
	return branch
}

// setting is the action form of an option: it counts for the rest of the request.
type setting struct {
	index int
	value any
}

func (s *setting) Run(vr *VRequest) error {
	vr.setOption(s.index, s.value)
	return nil
}

// listActions returns the actions of a list, nil when a is none.
func listActions(a Action) List {
	if l, ok := a.(*ruleList); ok {
		return l.actions
	}
	l, _ := a.(List)
	return l
}
