package runtime

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Trace is what one request did in the pipeline: every action that it met, in order. It is
// recorded by [Program.Trace], in the goroutine of the request, and complete when that
// returns. What filters do while the body is read is not in it.
type Trace struct {
	Steps []*Step `json:"steps"`

	options TraceOptions
	vr      *VRequest
	root    *[]*Step   // where steps go that are in no other
	open    []openStep // the actions that run now, the innermost last
	seen    []seen     // the request as it was when the last action began or ended
	tests   []*Test    // the conditions that are being tested, the innermost last
}

// openStep is an action that runs, and the row that its step is in.
type openStep struct {
	*Step
	row   *[]*Step
	begun time.Time
}

// TraceOptions say what a traced request may do.
type TraceOptions struct {
	// Backends has other programs really asked. Otherwise an action that would is shown as
	// reached, and stands for an empty answer with the status 200.
	Backends bool
}

// Step is one action that a request met.
type Step struct {
	Name string `json:"name"` // "docroot", "when", "list", "function"
	File string `json:"file,omitempty"`
	Line int    `json:"line,omitempty"`
	// Args are the arguments that are neither actions nor conditions, of programs that were
	// loaded with [Config.Inspect].
	Args string `json:"args,omitempty"`
	// Tests are the conditions that the action tested, and Taken the branch that it ran:
	// "then" or "else", "" for none.
	Tests []*Test `json:"tests,omitempty"`
	Taken string  `json:"taken,omitempty"`
	// Else says that the action is the else of the step before it.
	Else    bool     `json:"else,omitempty"`
	Changes []Change `json:"changes,omitempty"` // made by the action itself, not by those within
	Claimed bool     `json:"claimed,omitempty"` // whether it is this action that answers the request
	Reached bool     `json:"reached,omitempty"` // a backend that was not asked
	Lua     Duration `json:"lua,omitempty"`     // how long Lua ran, waiting left out
	Took    Duration `json:"took"`              // all of it, the actions within included
	Error   string   `json:"error,omitempty"`
	Log     []string `json:"log,omitempty"`
	Steps   []*Step  `json:"steps,omitempty"`

	node *Node
}

// Node is the action itself, nil for a subrequest.
func (s *Step) Node() *Node { return s.node }

// Pos is where the action was made.
func (s *Step) Pos() Pos { return Pos{s.File, s.Line} }

// Test is one condition that was tested.
type Test struct {
	Condition string  `json:"condition"`
	Value     string  `json:"value,omitempty"` // of the variable, as text
	Holds     bool    `json:"holds"`
	Error     string  `json:"error,omitempty"`
	Parts     []*Test `json:"parts,omitempty"` // of a combination, those that were tested
}

// Change is one thing that an action changed. What is absent is nil.
type Change struct {
	What   string  `json:"what"` // "physical.path", `response.header["Expires"]`
	Before *string `json:"before"`
	After  *string `json:"after"`
}

// Duration is a time span that is written to JSON as microseconds.
type Duration time.Duration

// UnmarshalJSON implements [encoding/json.Unmarshaler].
func (d *Duration) UnmarshalJSON(text []byte) error {
	us, err := strconv.ParseFloat(string(text), 64)
	*d = Duration(us * 1e3)
	return err
}

// MarshalJSON implements [encoding/json.Marshaler].
func (d Duration) MarshalJSON() ([]byte, error) {
	return fmt.Appendf(nil, "%.1f", float64(d)/1e3), nil
}

// Trace runs the pipeline for one exchange, as [Program.Handle] does, and records what it
// does. It is safe for concurrent use; requests that are not traced do not notice.
func (p *Program) Trace(ex Exchange, options TraceOptions) (*Reply, *Trace) {
	t := &Trace{options: options}
	t.root = &t.Steps
	return p.handle(ex, t), t
}

// Traced calls run, which runs actions, and records what they do. A request that is traced
// already goes on in that trace, and the result is nil.
func (vr *VRequest) Traced(options TraceOptions, run func() error) (*Trace, error) {
	if vr.trace != nil {
		return nil, run()
	}
	t := &Trace{options: options}
	t.root = &t.Steps
	t.start(vr)
	vr.trace = t
	defer func() {
		t.finish()
		vr.trace = nil
	}()
	err := run()
	return t, err
}

// start begins with the request as the client sent it.
func (t *Trace) start(vr *VRequest) {
	t.vr = vr
	t.seen = look(vr)
}

// subrequest returns the trace of a request that the running action makes.
func (t *Trace) subrequest(sub *VRequest) *Trace {
	s := &Step{Name: "subrequest"}
	row := t.root
	if top := t.top(); top != nil {
		row = &top.Steps
	}
	*row = append(*row, s)
	inner := &Trace{options: t.options, root: &s.Steps}
	inner.start(sub)
	return inner
}

// top returns the step of the action that runs, nil between actions.
func (t *Trace) top() *Step {
	if len(t.open) == 0 {
		return nil
	}
	return t.open[len(t.open)-1].Step
}

// run runs an action as a step.
func (t *Trace) run(n *Node) error {
	t.begin(n)
	err := t.act(n)
	if err != nil {
		err = n.locate(err)
		if located, _ := errors.AsType[*ActionError](err); located.Node == n {
			t.top().Error = located.Err.Error()
		}
	}
	t.end()
	return err
}

// act does the work of an action, unless it is that of a backend which is not asked.
func (t *Trace) act(n *Node) error {
	def := t.vr.prog.registry.actions[n.Name]
	if def == nil || def.Backend == NoBackend || t.options.Backends || t.vr.IsHandled() {
		return n.Act.Run(t.vr)
	}
	top := t.top()
	top.Reached = true
	if def.Backend == Answers {
		t.vr.HandleBackend(http.StatusOK, nil)
		t.vr.Out.closed = true
		top.Claimed = true
		t.seen = look(t.vr) // the status is nobody's
	}
	return nil
}

// AsksBackends reports whether other programs may be asked for this request. An action whose
// branches depend on the answer looks at it; see [ActionDef.Backend] for the others.
func (vr *VRequest) AsksBackends() bool { return vr.trace == nil || vr.trace.options.Backends }

func (t *Trace) begin(n *Node) {
	t.attribute()
	row, isElse := t.root, false
	if top := len(t.open) - 1; top >= 0 {
		parent := t.open[top]
		row = &parent.Steps
		if parent.Taken == branchElse && len(parent.Steps) == 0 && isWhen(n.Act) {
			// a chain of else is a row, however long, and not a nest
			row, isElse = parent.row, true
		}
	}
	s := &Step{Name: n.Name, File: n.Pos.File, Line: n.Pos.Line, Else: isElse, Args: t.arguments(n), node: n}
	*row = append(*row, s)
	t.open = append(t.open, openStep{s, row, time.Now()})
}

// arguments prints those arguments of an action that are not seen elsewhere in the trace.
func (t *Trace) arguments(n *Node) string {
	inspection := t.vr.prog.inspection
	if inspection == nil {
		return ""
	}
	var out []string
	for _, arg := range inspection.argsOf(n) {
		if !holdsAction(arg.Value) && arg.Value.kind != KindCondition {
			out = append(out, arg.Value.String())
		}
	}
	return strings.Join(out, ", ")
}

// holdsAction reports whether there is an action anywhere in a value.
func holdsAction(v Value) bool {
	return v.action != nil || v.kind == KindList && slices.ContainsFunc(v.list, holdsAction)
}

func (t *Trace) end() {
	t.attribute()
	last := t.open[len(t.open)-1]
	last.Took = Duration(time.Since(last.begun))
	t.open = t.open[:len(t.open)-1]
}

// finish closes the steps that a panic has left open.
func (t *Trace) finish() {
	for len(t.open) > 0 {
		t.end()
	}
}

// attribute puts down what has changed to the action that runs.
func (t *Trace) attribute() {
	before := t.seen
	t.seen = look(t.vr)
	top := t.top()
	if top == nil {
		return
	}
	top.Changes = append(top.Changes, changes(before, t.seen)...)
	if claimed := func(s []seen) bool { return s[0].value != "" }; !claimed(before) && claimed(t.seen) {
		top.Claimed = true
	}
}

// branches of a [When], as [Step.Taken] names them.
const (
	branchThen = "then"
	branchElse = "else"
)

// branch notes which branch the running when takes.
func (t *Trace) branch(name string) {
	if top := t.top(); top != nil {
		top.Taken = name
	}
}

// test tests a condition and notes what it saw.
func (t *Trace) test(c *Condition, vr *VRequest) (bool, error) {
	test := &Test{Condition: c.String()}
	if n := len(t.tests); n > 0 {
		t.tests[n-1].Parts = append(t.tests[n-1].Parts, test)
	} else if top := t.top(); top != nil {
		top.Tests = append(top.Tests, test)
	}
	t.tests = append(t.tests, test)
	ok, err := c.eval(vr)
	t.tests = t.tests[:len(t.tests)-1]
	test.Holds = ok
	if err != nil {
		test.Error = err.Error()
	} else if c.lvalue != nil {
		test.Value, _ = c.lvalue.text(vr)
	}
	return ok, err
}

// luaRan adds to the time of the action that runs.
func (t *Trace) luaRan(d time.Duration) {
	if top := t.top(); top != nil {
		top.Lua += Duration(d)
	}
}

// log returns a logger whose messages are in the trace as well.
func (t *Trace) log(to *slog.Logger) *slog.Logger {
	return slog.New(&traceLog{Handler: to.Handler(), trace: t})
}

// traceLog puts messages into the step that runs.
type traceLog struct {
	slog.Handler
	trace *Trace
}

// Enabled implements [slog.Handler]: the trace has messages of every level.
func (l *traceLog) Enabled(context.Context, slog.Level) bool { return true }

// Handle implements [slog.Handler].
func (l *traceLog) Handle(ctx context.Context, r slog.Record) error {
	if top := l.trace.top(); top != nil {
		var line strings.Builder
		line.WriteString(r.Message)
		r.Attrs(func(a slog.Attr) bool {
			fmt.Fprintf(&line, " %s=%v", a.Key, a.Value)
			return true
		})
		top.Log = append(top.Log, line.String())
	}
	if !l.Handler.Enabled(ctx, r.Level) {
		return nil
	}
	return l.Handler.Handle(ctx, r)
}

// seen is one thing that actions can change, and its value.
type seen struct {
	what, value string
	is          bool // whether it is there
}

// look returns everything that actions can change and that can be told as text. Who
// answers comes first.
func look(vr *VRequest) []seen {
	all := []seen{{what: "handled", is: true}}
	if vr.IsHandled() {
		all[0].value = "handled"
	}
	for _, field := range []struct{ what, value string }{
		{"request.method", vr.Request.Method},
		{"request.scheme", vr.Request.URI.Scheme},
		{"request.host", vr.Request.URI.Host},
		{"request.path", vr.Request.URI.Path},
		{"request.query", vr.Request.URI.Query},
		{"request.raw_path", vr.Request.URI.RawPath},
		{"request.remoteip", vr.Con.Remote.Addr().String()},
		{"physical.docroot", vr.Physical.DocRoot},
		{"physical.path", vr.Physical.Path},
		{"physical.pathinfo", vr.Physical.PathInfo},
	} {
		all = append(all, seen{field.what, field.value, field.value != ""})
	}
	all = append(all, lookAt("request.header", &vr.Request.Header)...)
	all = append(all, lookAt("request.env", &vr.Env.header)...)
	all = append(all, seen{"response.status", strconv.Itoa(vr.Response.Status), vr.Response.Status != 0})
	all = append(all, lookAt("response.header", &vr.Response.Header)...)
	body := seen{what: "response.body"}
	if n := vr.Out.Len(); n > 0 {
		body.value, body.is = fmt.Sprintf("%d bytes", n), true
	} else if n < 0 {
		body.value, body.is = "a stream", true
	}
	filters := seen{what: "response.filters", value: strconv.Itoa(len(vr.filtersOut)), is: len(vr.filtersOut) > 0}
	return append(all, body, filters)
}

// lookAt returns the fields of a header, those of one name together.
func lookAt(what string, h *Header) []seen {
	var all []seen
	for i, f := range h.fields {
		if slices.ContainsFunc(h.fields[:i], func(g Field) bool { return sameName(f.Name, g.Name) }) {
			continue
		}
		all = append(all, seen{fmt.Sprintf("%s[%q]", what, f.Name), h.Get(f.Name), true})
	}
	return all
}

// changes compares the request before and after an action, in the order of [look].
func changes(before, after []seen) []Change {
	var all []Change
	find := func(list []seen, what string) *string {
		for i := range list {
			if list[i].is && strings.EqualFold(list[i].what, what) {
				return &list[i].value
			}
		}
		return nil
	}
	for _, b := range before[1:] {
		if now := find(after, b.what); b.is && (now == nil || *now != b.value) {
			all = append(all, Change{b.what, &b.value, now})
		}
	}
	for _, a := range after[1:] {
		if a.is && find(before, a.what) == nil {
			all = append(all, Change{a.what, nil, &a.value})
		}
	}
	return all
}

// isWhen reports whether an action tests a condition and has branches.
func isWhen(a Action) bool {
	switch a.(type) {
	case *When, *ruleChain:
		return true
	}
	return false
}
