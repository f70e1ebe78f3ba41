package runtime

import (
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Condition is a test over one lvalue, or a combination of tests. It is immutable and
// safe for concurrent use.
type Condition struct {
	lvalue *LValue
	op     string
	negate bool
	arg    string
	eval   func(vr *VRequest) (bool, error)
	combo  []*Condition // of all, any, none
}

// condOp describes one comparison operator.
type condOp struct {
	name   string
	sign   string // the operator in lighttpd2's own configuration language
	negate bool
	doc    string
	build  func(c *Condition) (func(vr *VRequest) (bool, error), error)
}

var condOps = []condOp{
	{"eq", "==", false, "is equal to the value, as text", buildEqual},
	{"ne", "!=", true, "is not equal to the value, as text", buildEqual},
	{"prefix", "=^", false, "begins with the value", buildText(strings.HasPrefix)},
	{"notprefix", "!^", true, "does not begin with the value", buildText(strings.HasPrefix)},
	{"suffix", "=$", false, "ends with the value", buildText(strings.HasSuffix)},
	{"notsuffix", "!$", true, "does not end with the value", buildText(strings.HasSuffix)},
	{"match", "=~", false, "matches the value, a regular expression (RE2); its groups are %1, %2, … in the actions of the when", buildMatch},
	{"nomatch", "!~", true, "does not match the value, a regular expression", buildMatch},
	{"ip", "=/", false, "is in the network that the value names (CIDR), or is that address", buildIP},
	{"notip", "!/", true, "is not in the network that the value names", buildIP},
	{"lt", "<", false, "is less than the value, an integer", buildCompare(func(a, b int64) bool { return a < b })},
	{"le", "<=", false, "is at most the value", buildCompare(func(a, b int64) bool { return a <= b })},
	{"gt", ">", false, "is greater than the value", buildCompare(func(a, b int64) bool { return a > b })},
	{"ge", ">=", false, "is at least the value", buildCompare(func(a, b int64) bool { return a >= b })},
	{"is", "", false, "is true, not 0, not empty", buildTruth},
	{"isnot", "!", true, "is false, 0 or empty", buildTruth},
}

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

// newCondition builds lvalue:op(arg).
func newCondition(lv *LValue, op *condOp, arg string) (*Condition, error) {
	c := &Condition{lvalue: lv, op: op.name, negate: op.negate, arg: arg}
	eval, err := op.build(c)
	if err != nil {
		return nil, err
	}
	c.eval = eval
	return c, nil
}

// Eval tests the condition. A regex that matched leaves its captures on vr's stack;
// whoever calls Eval takes them off again (see [When]).
func (c *Condition) Eval(vr *VRequest) (bool, error) {
	ok, err := c.eval(vr)
	if err != nil {
		return false, fmt.Errorf("%s: %w", c, err)
	}
	return ok != c.negate, nil
}

// String prints the condition as a script writes it.
func (c *Condition) String() string {
	if c.combo != nil {
		parts := make([]string, len(c.combo))
		for i, sub := range c.combo {
			parts[i] = sub.String()
		}
		return c.op + "{" + strings.Join(parts, ", ") + "}"
	}
	if c.op == "is" || c.op == "isnot" {
		return fmt.Sprintf("%s:%s()", c.lvalue, c.op)
	}
	return fmt.Sprintf("%s:%s(%q)", c.lvalue, c.op, c.arg)
}

func buildEqual(c *Condition) (func(*VRequest) (bool, error), error) {
	return buildText(func(s, arg string) bool { return s == arg })(c)
}

func buildText(test func(s, arg string) bool) func(*Condition) (func(*VRequest) (bool, error), error) {
	return func(c *Condition) (func(*VRequest) (bool, error), error) {
		lv, arg := c.lvalue, c.arg
		return func(vr *VRequest) (bool, error) {
			s, err := lv.text(vr)
			return err == nil && test(s, arg), err
		}, nil
	}
}

func buildTruth(c *Condition) (func(*VRequest) (bool, error), error) { return c.lvalue.truth, nil }

func buildCompare(test func(a, b int64) bool) func(*Condition) (func(*VRequest) (bool, error), error) {
	return func(c *Condition) (func(*VRequest) (bool, error), error) {
		want, err := strconv.ParseInt(c.arg, 10, 64)
		if err != nil {
			return nil, fmt.Errorf("%s:%s expects an integer, got %q", c.lvalue, c.op, c.arg)
		}
		lv := c.lvalue
		if lv.def.kind == lvNumber {
			return func(vr *VRequest) (bool, error) {
				n, err := lv.def.num(vr)
				return err == nil && test(n, want), err
			}, nil
		}
		if lv.def.kind != lvString {
			return nil, fmt.Errorf("%s cannot be compared with %s; it is not a number", lv, c.op)
		}
		// a text that is not a number is neither less nor greater
		return func(vr *VRequest) (bool, error) {
			s, err := lv.text(vr)
			if err != nil {
				return false, err
			}
			n, err := strconv.ParseInt(s, 10, 64)
			return err == nil && test(n, want), nil
		}, nil
	}
}

func buildIP(c *Condition) (func(*VRequest) (bool, error), error) {
	network, err := ParseNetwork(c.arg)
	if err != nil {
		return nil, err
	}
	lv := c.lvalue
	return func(vr *VRequest) (bool, error) {
		a, err := lv.addr(vr)
		return err == nil && a.IsValid() && network.Contains(a), err
	}, nil
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

func buildMatch(c *Condition) (func(*VRequest) (bool, error), error) {
	re, err := CompileRegex(c.arg)
	if err != nil {
		return nil, err
	}
	lv := c.lvalue
	return func(vr *VRequest) (bool, error) {
		s, err := lv.text(vr)
		if err != nil {
			return false, err
		}
		groups := re.Find(s)
		if groups == nil {
			return false, nil
		}
		vr.captures = append(vr.captures, match{s, groups})
		return true, nil
	}, nil
}

// Regex is a regular expression over bytes, as lighttpd2's are: "." matches one byte, not
// one UTF-8 sequence. The syntax is RE2's, which needs time linear in the subject.
type Regex struct {
	re   *regexp.Regexp
	wide *regexp.Regexp // for subjects with bytes above 127
}

// CompileRegex compiles a regular expression.
func CompileRegex(expr string) (*Regex, error) {
	re, err := regexp.Compile(expr)
	if err != nil {
		return nil, fmt.Errorf("failed to compile regex %q: %w", expr, err)
	}
	wide := re
	if !isASCII(expr) {
		if wide, err = regexp.Compile(widen(expr)); err != nil {
			return nil, fmt.Errorf("failed to compile regex %q: %w", expr, err)
		}
	}
	return &Regex{re, wide}, nil
}

// Find returns the index pairs of the leftmost match and its groups, nil for none.
func (r *Regex) Find(s string) []int {
	if isASCII(s) {
		return r.re.FindStringSubmatchIndex(s)
	}
	// Go's regexp works on code points: match over a copy in which each byte is one
	groups := r.wide.FindStringSubmatchIndex(widen(s))
	for i, wideIndex := range groups {
		if wideIndex > 0 {
			groups[i] = narrowIndex(s, wideIndex)
		}
	}
	return groups
}

// String returns the expression.
func (r *Regex) String() string { return r.re.String() }

func isASCII(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

// widen turns each byte into the code point of the same number.
func widen(s string) string {
	out := make([]byte, 0, 2*len(s))
	for i := 0; i < len(s); i++ {
		out = utf8.AppendRune(out, rune(s[i]))
	}
	return string(out)
}

// narrowIndex turns an index into widen(s) into one into s.
func narrowIndex(s string, wide int) int {
	n := 0
	for i := 0; i < len(s); i++ {
		if n >= wide {
			return i
		}
		n++
		if s[i] >= utf8.RuneSelf {
			n++
		}
	}
	return len(s)
}

// combinations are the functions that make one condition of several; lighttpd2's Lua has none.
var combinations = []Combination{
	{"all", "every condition holds"},
	{"any", "at least one condition holds"},
	{"none", "no condition holds"},
}

// combine builds all{…}, any{…} and none{…}.
// Conditions are tested in order, and no more of them than needed.
func combine(op string, conds []*Condition) *Condition {
	c := &Condition{op: op, combo: conds, negate: op == "none"}
	stopAt := op != "all"
	c.eval = func(vr *VRequest) (bool, error) {
		for _, sub := range conds {
			ok, err := sub.Eval(vr)
			if err != nil {
				return false, err
			}
			if ok == stopAt {
				return stopAt, nil
			}
		}
		return !stopAt, nil
	}
	return c
}

// Combination describes a function that combines conditions, for the reference.
type Combination struct {
	Name string
	Doc  string // when the combined condition is true
}

// Combinations returns all functions that combine conditions: all{…}, any{…}, none{…}.
func Combinations() []Combination { return slices.Clone(combinations) }

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
