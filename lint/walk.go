package lint

import (
	"slices"
	"strings"

	"luaserve/runtime"
)

// walk goes through the pipeline as a request does, through both branches of each when, and
// keeps what is certain at each place.
type walk struct {
	c       *checker
	options map[string]bool           // the names of all options
	steps   int                       // what is left of maxSteps
	places  map[place][]*runtime.Node // in the order of the first visit
	visits  map[*runtime.Node]int
	pending []pending
	tracks  map[*runtime.Node]*track
	order   []*track
	mime    bool // somewhere the types of files are set
	static  *runtime.Tree
}

// maxSteps bounds the walk: an action that is used at many places is met at each of them.
const maxSteps = 1 << 21

// state is what is known before an action runs.
type state struct {
	answered  *answer // what has answered the request for certain
	maybe     bool    // something may have answered it
	mayMap    bool    // something may have mapped the URL to a file
	opaque    bool    // something may have done anything
	facts     []fact
	taken     []taken
	mapped    []*track // docroots and aliases whose mapping may be the current one
	rewritten []*track // rewrites since then
}

// answer is an action that has answered the request.
type answer struct {
	by   runtime.Tree
	when *fact // the rule that it did so in, nil when it always does
}

// taken is a condition under which the request is answered already.
type taken struct {
	fact
	cause runtime.Tree
}

// track follows what becomes of a mapping or a rewrite.
type track struct {
	tree    runtime.Tree
	used    bool
	undone  *runtime.Tree // by a later docroot, before anything used it
	ignored *runtime.Tree // an action that does not see the rewrite
}

func (w *walk) trackOf(t runtime.Tree) *track {
	tr := w.tracks[t.Node]
	if tr == nil {
		tr = &track{tree: t}
		w.tracks[t.Node] = tr
		w.order = append(w.order, tr)
	}
	return tr
}

func use(tracks []*track) {
	for _, t := range tracks {
		t.used = true
	}
}

// place is where an action was made. A function of the script may make many there.
type place struct {
	name string
	pos  runtime.Pos
}

// pending is a finding that counts if it is so each time that the action is met.
type pending struct {
	node *runtime.Node
	rule *Rule
	say  func(number int)
}

// run walks the whole pipeline and reports.
func (w *walk) run() {
	w.step(w.c.prog.Pipeline(), state{})
	if w.steps <= 0 {
		return // not everything was seen, so nothing is certain
	}
	times := w.count()
	for _, p := range w.pending {
		if number, certain := w.always(p.node, times[p.rule]); certain {
			p.say(number)
		}
	}
	w.reportTracks()
}

// suspect notes a finding about the action t.
func (w *walk) suspect(t runtime.Tree, rule *Rule, say func(number int)) {
	w.pending = append(w.pending, pending{t.Node, rule, say})
}

// broken counts how often each action has broken a rule.
type broken map[*Rule]map[*runtime.Node]int

func (w *walk) count() broken {
	b := broken{}
	for _, p := range w.pending {
		if b[p.rule] == nil {
			b[p.rule] = map[*runtime.Node]int{}
		}
		b[p.rule][p.node]++
	}
	return b
}

// always reports whether a rule was broken each time that an action was met, and the number
// of the action among those of its line. Where a line has made more actions than there are
// names on it, all of them must have broken it.
func (w *walk) always(n *runtime.Node, times map[*runtime.Node]int) (number int, certain bool) {
	nodes := w.places[place{n.Name, n.Pos}]
	if w.isOwn(n) {
		return slices.Index(nodes, n), times[n] >= w.visits[n]
	}
	for _, other := range nodes {
		if times[other] < w.visits[other] {
			return 0, false
		}
	}
	return 0, true
}

// isOwn reports whether an action has a name of its own in the script.
func (w *walk) isOwn(n *runtime.Node) bool {
	s := w.c.files[n.Pos.File]
	return s != nil && len(w.places[place{n.Name, n.Pos}]) <= len(s.text.Find(n.Pos.Line, n.Name))
}

// visit counts a visit and reports whether it is the first.
func (w *walk) visit(n *runtime.Node) bool {
	w.visits[n]++
	if w.visits[n] > 1 {
		return false
	}
	at := place{n.Name, n.Pos}
	w.places[at] = append(w.places[at], n)
	return true
}

// step runs one action and returns what is known behind it.
func (w *walk) step(t runtime.Tree, s state) state {
	if w.steps--; w.steps <= 0 {
		return state{opaque: true, maybe: true, mayMap: true}
	}
	if w.visit(t.Node) {
		w.checkTable(t)
	}
	children := t.Children()
	if t.Condition() != nil {
		return w.stepWhen(t, children, s)
	}
	switch t.Node.Name {
	case "list":
		for _, c := range children {
			s = w.step(c, s)
		}
		return s
	case "vhost.map", "vhost.map_regex", "map", "map_cidr":
		return w.stepMap(t, children, s)
	case "limit.con", "limit.con_ip", "limit.req", "limit.req_ip", "memcached.lookup":
		s = w.stepLeaf(t, s)
		return w.anyOf(children, s, false)
	}
	if strings.HasPrefix(t.Node.Name, "balance.") {
		return w.anyOf(children, s, true)
	}
	if len(children) == 1 && children[0].Label == "" && t.Node.Name != "accel.redirect" { // of a plugin
		return w.step(children[0], s)
	}
	return w.stepLeaf(t, s)
}

// anyOf runs one of the actions, or none of them unless all are needed.
func (w *walk) anyOf(children []runtime.Tree, s state, one bool) state {
	var ends []state
	for _, c := range children {
		ends = append(ends, w.step(c, s))
	}
	if !one || len(ends) == 0 {
		ends = append(ends, s)
	}
	return join(ends)
}

// stepMap runs the action of the key that fits.
func (w *walk) stepMap(t runtime.Tree, children []runtime.Tree, s state) state {
	w.look(t, s)
	var ends []state
	rest := false
	for _, c := range children {
		inside := s
		isRest := c.Label == "default" || t.Node.Name == "map_cidr" && c.Label == "all"
		if t.Node.Name == "vhost.map" && !isRest {
			host := atom{variable: "request.host", op: "eq", operand: c.Label, is: true}
			inside.facts = with(s.facts, fact{is: true, atoms: []atom{host}, by: t})
		}
		ends = append(ends, w.step(c, inside))
		rest = rest || isRest
	}
	if !rest {
		ends = append(ends, s)
	}
	return join(ends)
}

// stepWhen runs both branches.
func (w *walk) stepWhen(t runtime.Tree, children []runtime.Tree, s state) state {
	cond := t.Condition()
	w.look(t, s)
	w.checkCondition(t, s)
	var ends [2]state
	for i, label := range []string{"then", "else"} {
		inside := s
		inside.facts = with(s.facts, newFact(cond, i == 0, t))
		if s.answered == nil {
			inside.answered = takenBy(inside)
		}
		ends[i] = inside
		if at := slices.IndexFunc(children, func(c runtime.Tree) bool { return c.Label == label }); at >= 0 {
			ends[i] = w.step(children[at], inside)
		}
	}
	out := join(ends[:])
	if out.answered == nil {
		for i, end := range ends {
			if end.answered != nil && end.knows(cond, i == 0) && ends[1-i].knows(cond, i != 0) {
				out.taken = with(out.taken, taken{newFact(cond, i == 0, t), end.answered.by})
			}
		}
	}
	return out
}

// maxFacts bounds what is remembered at one place: chains of else can be very long.
const maxFacts = 500

func with[T any](list []T, item T) []T {
	if len(list) >= maxFacts {
		return list
	}
	return append(slices.Clip(list), item)
}

// knows reports whether a condition that was tested before is known to be so still.
func (s state) knows(c *runtime.Condition, is bool) bool {
	return slices.ContainsFunc(s.facts, func(f fact) bool { return f.cond == c && f.is == is })
}

// takenBy returns what has answered every request that comes into a branch.
func takenBy(inside state) *answer {
	for _, tk := range inside.taken {
		if v := judge(inside.facts, tk.cond); v != unknown && v == verdictOf(tk.is) {
			return &answer{tk.cause, &tk.fact}
		}
	}
	return nil
}

// join is what is certain when one of several ways was taken.
func join(ends []state) state {
	out := ends[0]
	for _, e := range ends[1:] {
		if e.answered == nil {
			out.answered = nil
		}
		out.maybe = out.maybe || e.maybe
		out.mayMap = out.mayMap || e.mayMap
		out.opaque = out.opaque || e.opaque
		out.facts = common(out.facts, e.facts, func(a, b fact) bool { return a.cond == b.cond && a.is == b.is && a.by.Node == b.by.Node })
		out.taken = common(out.taken, e.taken, func(a, b taken) bool { return a.cond == b.cond && a.is == b.is })
		out.mapped = union(out.mapped, e.mapped)
		out.rewritten = union(out.rewritten, e.rewritten)
	}
	return out
}

func common[T any](a, b []T, same func(a, b T) bool) []T {
	var out []T
	for _, x := range a {
		if slices.ContainsFunc(b, func(y T) bool { return same(x, y) }) {
			out = append(out, x)
		}
	}
	return out
}

func union(a, b []*track) []*track {
	out := slices.Clip(a)
	for _, t := range b {
		if !slices.Contains(out, t) {
			out = append(out, t)
		}
	}
	return out
}

// changed forgets what was known of variables that may be others now.
func (s state) changed(what change) state {
	touched := func(f fact) bool {
		return slices.ContainsFunc(f.atoms, func(a atom) bool { return what == changesAll || changeOf(a.variable)&what != 0 }) ||
			what == changesAll || f.cond != nil && touches(f.cond, what)
	}
	s.facts = slices.DeleteFunc(slices.Clone(s.facts), touched)
	s.taken = slices.DeleteFunc(slices.Clone(s.taken), func(t taken) bool { return touched(t.fact) })
	return s
}

func touches(c *runtime.Condition, what change) bool {
	if variable, _ := c.Variable(); variable != "" {
		return changeOf(variable)&what != 0
	}
	return slices.ContainsFunc(c.Parts(), func(p *runtime.Condition) bool { return touches(p, what) })
}
