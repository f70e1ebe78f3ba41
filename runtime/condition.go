package runtime

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
)

// Condition is a test over one lvalue, or a combination of tests. It is immutable and
// safe for concurrent use.
type Condition struct {
	lvalue *LValue
	op     *condOp
	arg    string
	parsed any // what the operator made of arg: *Regex, netip.Prefix, int64; []*Condition or *manyConditions of a combination
}

// condOp describes one operator. There may be hundreds of thousands of conditions, so what
// an operator needs to know is in the condition and not in a closure of its own.
type condOp struct {
	name   string
	sign   string // the operator in lighttpd2's own configuration language
	negate bool
	doc    string
	parse  func(b *Builder, c *Condition) (any, error) // nil when arg is used as it is
	test   func(c *Condition, vr *VRequest) (bool, error)
}

var condOps = []condOp{
	{"eq", "==", false, "is equal to the value, as text", nil, testEqual},
	{"ne", "!=", true, "is not equal to the value, as text", nil, testEqual},
	{"prefix", "=^", false, "begins with the value", nil, testPrefix},
	{"notprefix", "!^", true, "does not begin with the value", nil, testPrefix},
	{"suffix", "=$", false, "ends with the value", nil, testSuffix},
	{"notsuffix", "!$", true, "does not end with the value", nil, testSuffix},
	{"match", "=~", false, "matches the value, a regular expression (RE2); its groups are %1, %2, … in the actions of the when", parseMatch, testMatch},
	{"nomatch", "!~", true, "does not match the value, a regular expression", parseMatch, testMatch},
	{"ip", "=/", false, "is in the network that the value names (CIDR), or is that address", parseIP, testIP},
	{"notip", "!/", true, "is not in the network that the value names", parseIP, testIP},
	{"lt", "<", false, "is less than the value, an integer", parseCompare, testCompare(func(a, b int64) bool { return a < b })},
	{"le", "<=", false, "is at most the value", parseCompare, testCompare(func(a, b int64) bool { return a <= b })},
	{"gt", ">", false, "is greater than the value", parseCompare, testCompare(func(a, b int64) bool { return a > b })},
	{"ge", ">=", false, "is at least the value", parseCompare, testCompare(func(a, b int64) bool { return a >= b })},
	{"is", "", false, "is true, not 0, not empty", nil, testTruth},
	{"isnot", "!", true, "is false, 0 or empty", nil, testTruth},
}

// The operators of combinations, which lighttpd2's Lua does not have. Conditions are tested
// in order, and no more of them than needed.
var (
	opAll  = condOp{name: "all", doc: "every condition holds", test: testAll}
	opAny  = condOp{name: "any", doc: "at least one condition holds", test: testAny}
	opNone = condOp{name: "none", negate: true, doc: "no condition holds", test: testAny}

	comboOps = []*condOp{&opAll, &opAny, &opNone}
)

// unary reports whether the operator tests a variable alone, without a value.
func (o *condOp) unary() bool { return o.name == "is" || o.name == "isnot" }

func findOp(name string) *condOp {
	for i := range condOps {
		if condOps[i].name == name {
			return &condOps[i]
		}
	}
	return nil
}

// newCondition builds lvalue:op(arg). Without a builder it shares nothing with others.
func newCondition(b *Builder, lv *LValue, op *condOp, arg string) (*Condition, error) {
	c := &Condition{lvalue: lv, op: op, arg: arg}
	if op.parse == nil {
		return c, nil
	}
	var err error
	if c.parsed, err = op.parse(b, c); err != nil {
		return nil, err
	}
	return c, nil
}

// combine builds all{…}, any{…} and none{…}.
func (b *Builder) combine(op *condOp, conds []*Condition) *Condition {
	c := &Condition{op: op, parsed: conds}
	if op != &opAll && len(conds) >= minRules && b.mayIndex() {
		parts := make([][]needs, len(conds))
		for i, part := range conds {
			parts[i] = part.needsFor(true, true)
		}
		if x := newIndex(parts); x != nil {
			c.parsed = &manyConditions{conds, x}
		}
	}
	return c
}

// manyConditions are those of an any{…} or none{…} with an index of what each needs to hold.
type manyConditions struct {
	parts []*Condition
	index *index
}

// parts returns the conditions of a combination, nil for a test of one lvalue.
func (c *Condition) parts() []*Condition {
	switch parsed := c.parsed.(type) {
	case []*Condition:
		return parsed
	case *manyConditions:
		return parsed.parts
	}
	return nil
}

// Eval tests the condition. A regex that matched leaves its captures on vr's stack;
// whoever calls Eval takes them off again (see [When]).
func (c *Condition) Eval(vr *VRequest) (bool, error) {
	if vr.trace != nil {
		return vr.trace.test(c, vr)
	}
	return c.eval(vr)
}

func (c *Condition) eval(vr *VRequest) (bool, error) {
	ok, err := c.op.test(c, vr)
	if err != nil {
		return false, fmt.Errorf("%s: %w", c, err)
	}
	return ok != c.op.negate, nil
}

// String prints the condition as a script writes it.
func (c *Condition) String() string {
	if c.lvalue == nil {
		parts := make([]string, len(c.parts()))
		for i, sub := range c.parts() {
			parts[i] = sub.String()
		}
		return c.op.name + "{" + strings.Join(parts, ", ") + "}"
	}
	if c.op.name == "is" || c.op.name == "isnot" {
		return fmt.Sprintf("%s:%s()", c.lvalue, c.op.name)
	}
	return fmt.Sprintf("%s:%s(%q)", c.lvalue, c.op.name, c.arg)
}

func testEqual(c *Condition, vr *VRequest) (bool, error) {
	s, err := c.lvalue.text(vr)
	return err == nil && s == c.arg, err
}

func testPrefix(c *Condition, vr *VRequest) (bool, error) {
	s, err := c.lvalue.text(vr)
	return err == nil && strings.HasPrefix(s, c.arg), err
}

func testSuffix(c *Condition, vr *VRequest) (bool, error) {
	s, err := c.lvalue.text(vr)
	return err == nil && strings.HasSuffix(s, c.arg), err
}

func testTruth(c *Condition, vr *VRequest) (bool, error) { return c.lvalue.truth(vr) }

func testAll(c *Condition, vr *VRequest) (bool, error) {
	for _, sub := range c.parts() {
		if ok, err := sub.Eval(vr); err != nil || !ok {
			return false, err
		}
	}
	return true, nil
}

func testAny(c *Condition, vr *VRequest) (bool, error) {
	if many, ok := c.parsed.(*manyConditions); ok && vr.trace == nil {
		return many.testAny(vr)
	}
	for _, sub := range c.parts() {
		if ok, err := sub.Eval(vr); err != nil || ok {
			return ok, err
		}
	}
	return false, nil
}

func (m *manyConditions) testAny(vr *VRequest) (bool, error) {
	c := m.index.start(vr, 0)
	for i := c.rule(); i >= 0; i = c.rule() {
		if ok, err := m.parts[i].Eval(vr); err != nil || ok {
			return ok, err
		}
	}
	return false, nil
}

func parseCompare(_ *Builder, c *Condition) (any, error) {
	want, err := strconv.ParseInt(c.arg, 10, 64)
	if err != nil {
		return nil, fmt.Errorf("%s:%s expects an integer, got %q", c.lvalue, c.op.name, c.arg)
	}
	if kind := c.lvalue.def.kind; kind != lvNumber && kind != lvString {
		return nil, fmt.Errorf("%s cannot be compared with %s; it is not a number", c.lvalue, c.op.name)
	}
	return want, nil
}

func testCompare(test func(a, b int64) bool) func(*Condition, *VRequest) (bool, error) {
	return func(c *Condition, vr *VRequest) (bool, error) {
		if c.lvalue.def.kind == lvNumber {
			n, err := c.lvalue.def.num(vr)
			return err == nil && test(n, c.parsed.(int64)), err
		}
		// a text that is not a number is neither less nor greater
		s, err := c.lvalue.text(vr)
		if err != nil {
			return false, err
		}
		n, err := strconv.ParseInt(s, 10, 64)
		return err == nil && test(n, c.parsed.(int64)), nil
	}
}

func parseIP(_ *Builder, c *Condition) (any, error) {
	network, err := ParseNetwork(c.arg)
	return network, err
}

func testIP(c *Condition, vr *VRequest) (bool, error) {
	a, err := c.lvalue.addr(vr)
	return err == nil && a.IsValid() && c.parsed.(netip.Prefix).Contains(a), err
}

// ParseNetwork reads "10.0.0.0/8", "::1" or "192.168.1.7"; an address is a network of one.
// A network of IPv6 never holds an IPv4 address, not even as ::ffff:….
func ParseNetwork(s string) (netip.Prefix, error) {
	if p, err := netip.ParsePrefix(s); err == nil {
		return p.Masked(), nil
	}
	a, err := netip.ParseAddr(s)
	if err != nil {
		return netip.Prefix{}, fmt.Errorf("invalid ip address %q; expected an address or a network like 10.0.0.0/8", s)
	}
	return netip.PrefixFrom(a, a.BitLen()), nil
}

func parseMatch(b *Builder, c *Condition) (any, error) {
	re, err := b.Regex(c.arg)
	return re, err
}

func testMatch(c *Condition, vr *VRequest) (bool, error) {
	s, err := c.lvalue.text(vr)
	re := c.parsed.(*Regex)
	if err != nil || !re.Matches(s) {
		return false, err
	}
	vr.captures = append(vr.captures, match{subject: s, regex: re})
	return true, nil
}

// Combination describes a function that combines conditions, for the reference.
type Combination struct {
	Name string
	Doc  string // when the combined condition is true
}

// Combinations returns all functions that combine conditions: all{…}, any{…}, none{…}.
func Combinations() []Combination {
	out := make([]Combination, len(comboOps))
	for i, op := range comboOps {
		out[i] = Combination{op.name, op.doc}
	}
	return out
}

// Operator describes a comparison operator for the reference.
type Operator struct {
	Name string
	Sign string // in lighttpd2's own configuration language
	Doc  string
	// Unary says that it takes no value: physical.is_file:is().
	Unary bool
}

// Operators returns all comparison operators.
func Operators() []Operator {
	out := make([]Operator, len(condOps))
	for i, o := range condOps {
		out[i] = Operator{o.name, o.sign, o.doc, o.unary()}
	}
	return out
}
