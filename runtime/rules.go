package runtime

import (
	"cmp"
	"net/netip"
	"slices"
)

// Rules are free: a list of ten thousand whens costs a request what a list of ten costs.
//
// A list that has many of them gets an index of what each needs before it can do anything
// (see [need]). To run the list is then to ask for the first rule at or after k that may
// matter to the values that the request's variables have now, to run that rule as it
// stands, to go on behind it, and to ask again when a variable has changed meanwhile.
// Nothing is ever decided by the index: it leaves out rules that would have done nothing.
// So order, rewrites in between, captures, errors and their places are those of the plain
// list, and an index may be coarse where that makes it small. A chain of else is the same,
// but ends with the first condition that holds.

const (
	minRules     = 8 // below that testing one by one is as fast
	maxVariables = 4 // of one index
)

// index finds the rules that may matter to a request.
type index struct {
	variables []variable
	always    []int32 // the rules that nothing is known of, ascending
}

// variable is what an index knows of the rules of one variable.
type variable struct {
	lvalue LValue
	rules  []int32 // all of them, ascending
	texts  textIndex
}

// newIndex makes the index of rules with these needs (by rule, in the form of
// [Condition.needsFor]), nil when it would not be worth it.
func newIndex(rules [][]needs) *index {
	best := rarest(rules)
	variables := mostUsed(best)
	x := &index{}
	texts := make([][]entry, len(variables))
	for rule, alternatives := range best {
		if alternatives == nil || slices.ContainsFunc(alternatives, func(n need) bool { return !slices.Contains(variables, n.lvalue) }) {
			x.always = append(x.always, int32(rule))
			continue
		}
		for _, n := range alternatives {
			v := slices.Index(variables, n.lvalue)
			texts[v] = append(texts[v], entry{n.textNeed, int32(rule)})
		}
	}
	if len(rules)-len(x.always) < minRules {
		return nil
	}
	x.always = slices.Clip(x.always)
	for i, lv := range variables {
		v := variable{lvalue: lv, rules: make([]int32, len(texts[i]))}
		for j, e := range texts[i] {
			v.rules[j] = e.rule
		}
		v.rules = slices.Clip(slices.Compact(v.rules))
		v.texts = newTextIndex(texts[i])
		x.variables = append(x.variables, v)
	}
	return x
}

// rarest chooses for each rule the needs that it shares with the fewest others: of a
// hundred rules with ^/shop/…\.php$ it is what is between that tells them apart.
func rarest(rules [][]needs) []needs {
	users := map[need]int{}
	if slices.ContainsFunc(rules, func(choices []needs) bool { return len(choices) > 1 }) {
		for _, choices := range rules {
			for _, alternatives := range choices {
				for _, n := range alternatives {
					users[n]++
				}
			}
		}
	}
	shared := func(alternatives needs) (sum int) {
		for _, n := range alternatives {
			sum += users[n]
		}
		return sum
	}
	out := make([]needs, len(rules))
	for i, choices := range rules {
		for j, c := range choices {
			if j == 0 {
				out[i] = c
			} else if was, is := shared(out[i]), shared(c); is < was || is == was && c.better(out[i]) {
				out[i] = c
			}
		}
	}
	return out
}

// mostUsed returns the variables that most rules need, at most maxVariables.
func mostUsed(rules []needs) []LValue {
	var all []LValue
	uses := map[LValue]int{}
	for _, alternatives := range rules {
		for _, n := range alternatives {
			if uses[n.lvalue]++; uses[n.lvalue] == 1 {
				all = append(all, n.lvalue)
			}
		}
	}
	slices.SortStableFunc(all, func(a, b LValue) int { return cmp.Compare(uses[b], uses[a]) })
	return all[:min(len(all), maxVariables)]
}

// cursor goes through the rules of an index that may matter to one request.
type cursor struct {
	index  *index
	next   int32 // the rules before were left out or are done
	always []int32
	values [maxVariables]reading
	found  found
	taken  int // of found
}

// reading is what a variable was when the index was asked.
type reading struct {
	text  string
	addr  netip.Addr // of a variable that is an address
	known bool       // false when it cannot be had: every rule of it may matter, to say so
}

// read is what the variable is now.
func (v *variable) read(vr *VRequest) reading {
	if v.isAddress() {
		a, err := v.lvalue.def.ip(vr)
		return reading{addr: a, known: err == nil}
	}
	text, err := v.lvalue.text(vr)
	return reading{text: text, known: err == nil}
}

// isAddress is false for the subject of a [RegexSet] as well, which is no variable.
func (v *variable) isAddress() bool { return v.lvalue.def != nil && v.lvalue.def.kind == lvIP }

// start goes through the rules from first on.
func (x *index) start(vr *VRequest, first int32) cursor {
	c := cursor{index: x, always: x.always, next: first}
	if first > 0 {
		at, _ := slices.BinarySearch(c.always, first)
		c.always = c.always[at:]
	}
	c.changed(vr)
	c.ask()
	return c
}

// changed reads the variables and reports whether one is not what it was.
func (c *cursor) changed(vr *VRequest) (changed bool) {
	for i := range c.index.variables {
		if now := c.index.variables[i].read(vr); now != c.values[i] {
			c.values[i], changed = now, true
		}
	}
	return changed
}

// ask finds the rules from next on.
func (c *cursor) ask() {
	c.found.n, c.found.more, c.taken = 0, false, 0
	for i := range c.index.variables {
		v := &c.index.variables[i]
		if c.values[i].known {
			if v.isAddress() {
				v.texts.table.collectAddress(c.values[i].addr, c.next, &c.found)
			} else {
				v.texts.collect(c.values[i].text, c.next, &c.found)
			}
			continue
		}
		at, _ := slices.BinarySearch(v.rules, c.next)
		for ; at < len(v.rules) && c.found.add(v.rules[at]); at++ {
		}
	}
}

// rule returns the next rule that may matter, -1 when there is none.
func (c *cursor) rule() int32 {
	if c.taken == c.found.n && c.found.more {
		c.ask()
	}
	rule := int32(-1)
	if c.taken < c.found.n {
		rule = c.found.rules[c.taken]
	}
	if len(c.always) > 0 && (rule < 0 || c.always[0] < rule) {
		rule = c.always[0]
		c.always = c.always[1:]
	} else if rule >= 0 {
		c.taken++
	}
	c.next = rule + 1
	return rule
}

// ruleList is a list with an index.
type ruleList struct {
	actions List
	index   *index
}

// newList returns the action that runs l.
func newList(l List) Action {
	if len(l) < minRules {
		return l
	}
	rules := make([][]needs, len(l))
	for i, a := range l {
		rules[i] = needsOf(a)
	}
	if x := newIndex(rules); x != nil {
		return &ruleList{l, x}
	}
	return l
}

// Run runs the rules that may matter until one fails.
func (l *ruleList) Run(vr *VRequest) error {
	if vr.trace != nil {
		return l.actions.Run(vr) // the trace shows the rules that do not matter as well
	}
	return l.run(vr, 0, vr.mayPause)
}

func (l *ruleList) run(vr *VRequest, first int32, mayPause bool) error {
	c := l.index.start(vr, first)
	for rule := c.rule(); rule >= 0; rule = c.rule() {
		vr.pass(mayPause, l.actions[rule])
		if err := l.actions[rule].Run(vr); err != nil {
			if isPaused(err) {
				vr.pushFrame(frame{rules: l, next: int(rule + 1), captures: -1})
			}
			return err
		}
		if c.changed(vr) {
			c.ask()
		}
	}
	return nil
}

// ruleChain is a when whose else is a when, and so on, with an index.
type ruleChain struct {
	whens []*Node // each with a *When; the else of the last one is no when
	index *index
}

// newChain returns the action that runs the chain that begins at head.
func newChain(head *Node) Action {
	var c ruleChain
	first := *head // head itself becomes the chain
	for n := &first; n != nil; n = elseWhen(n) {
		c.whens = append(c.whens, n)
	}
	if len(c.whens) < minRules {
		return head.Act
	}
	rules := make([][]needs, len(c.whens))
	for i, n := range c.whens {
		rules[i] = n.Act.(*When).Cond.needsFor(true, true)
	}
	if c.index = newIndex(rules); c.index == nil {
		return head.Act
	}
	c.whens = slices.Clip(c.whens)
	return &c
}

// noteChain remembers a when whose else is a when for the end of the load.
func (b *Builder) noteChain(n *Node) {
	if _, ok := n.Act.(*When); ok && b.mayIndex() && elseWhen(n) != nil {
		b.load.chains = append(b.load.chains, n)
	}
}

// mayIndex reports whether lists and chains get an index: not those that are made for one
// request.
func (b *Builder) mayIndex() bool { return b.load != nil && !b.prog.oneByOne }

// indexChains turns the chains of a script into such with an index. It comes last, because
// the parts of a chain are made before its head is known.
func (l *load) indexChains() {
	inner := map[*Node]bool{}
	for _, n := range l.chains {
		inner[elseWhen(n)] = true
	}
	for _, n := range l.chains {
		if !inner[n] {
			n.Act = newChain(n)
		}
	}
	l.chains = nil
}

// elseWhen returns the when that is the else of a when.
func elseWhen(n *Node) *Node {
	next := n.Act.(*When).Else
	for {
		node, ok := next.(*Node)
		if !ok {
			return nil
		}
		if _, ok := node.Act.(*When); ok {
			return node
		}
		next = node.Act
	}
}

// Run runs the action of the first condition that holds, or the last else. Captures that
// the conditions before have left are seen there, as if each when stood in the other.
func (c *ruleChain) Run(vr *VRequest) error {
	if vr.trace != nil {
		return c.whens[0].Act.Run(vr)
	}
	depth := len(vr.captures)
	return vr.dropCaptures(depth, c.run(vr, vr.mayPause))
}

func (c *ruleChain) run(vr *VRequest, mayPause bool) error {
	rules := c.index.start(vr, 0)
	for rule := rules.rule(); rule >= 0; rule = rules.rule() {
		n := c.whens[rule]
		w := n.Act.(*When)
		ok, err := w.Cond.Eval(vr)
		if err != nil {
			return n.locate(err)
		}
		if ok {
			return n.runBranch(vr, mayPause, w.Then)
		}
	}
	last := c.whens[len(c.whens)-1]
	return last.runBranch(vr, mayPause, last.Act.(*When).Else)
}

// runBranch runs a branch of the when that n is.
func (n *Node) runBranch(vr *VRequest, mayPause bool, branch Action) error {
	if branch == nil {
		return nil
	}
	vr.pass(mayPause, branch)
	if err := branch.Run(vr); err != nil {
		return n.leave(vr, err)
	}
	return nil
}
