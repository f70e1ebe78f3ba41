package runtime

import (
	"fmt"
	"regexp"
	"regexp/syntax"
	"sync/atomic"
	"unicode/utf8"
)

// Regex is a regular expression over bytes, as lighttpd2's are: "." matches one byte, not
// one UTF-8 sequence. The syntax is RE2's, which needs time linear in the subject. A Regex
// is safe for concurrent use.
//
// It is checked when it is made and compiled when it is first tried: of many thousand
// expressions most are never tried, because a rule's place in an [index] rules it out.
type Regex struct {
	expr     string
	compiled atomic.Pointer[compiledRegex]
	needed   atomic.Pointer[[][]textNeed]
}

type compiledRegex struct {
	re   *regexp.Regexp
	wide *regexp.Regexp // for subjects with bytes above 127
}

// CompileRegex makes a regular expression; see [Builder.Regex] for one that is shared.
func CompileRegex(expr string) (*Regex, error) {
	_, err := syntax.Parse(expr, syntax.Perl)
	if err == nil && !isASCII(expr) {
		_, err = syntax.Parse(widen(expr), syntax.Perl)
	}
	if err != nil {
		return nil, fmt.Errorf("failed to compile regex %q: %w", expr, err)
	}
	return &Regex{expr: expr}, nil
}

// Regex makes a regular expression. While a script is loaded it is one and the same for all
// who name the same expression.
func (b *Builder) Regex(expr string) (*Regex, error) {
	if b == nil || b.load == nil {
		return CompileRegex(expr)
	}
	if re := b.load.regexes[expr]; re != nil {
		return re, nil
	}
	re, err := CompileRegex(expr)
	if err == nil {
		b.load.regexes[expr] = re
	}
	return re, err
}

// needs returns the texts that a subject must have before it can match: alternatives, and
// of those at least one.
func (r *Regex) needs() [][]textNeed {
	if known := r.needed.Load(); known != nil {
		return *known
	}
	n := regexNeeds(r.expr)
	r.needed.Store(&n)
	return n
}

// get returns the compiled expression. That two requests may both compile it does no harm.
func (r *Regex) get() *compiledRegex {
	if c := r.compiled.Load(); c != nil {
		return c
	}
	c := &compiledRegex{re: regexp.MustCompile(r.expr)}
	c.wide = c.re
	if !isASCII(r.expr) {
		c.wide = regexp.MustCompile(widen(r.expr))
	}
	r.compiled.Store(c)
	return c
}

// Matches reports whether s has a match in it. Find costs an allocation, Matches does not.
func (r *Regex) Matches(s string) bool {
	if isASCII(s) {
		return r.get().re.MatchString(s)
	}
	return r.get().wide.MatchString(widen(s))
}

// Find returns the index pairs of the leftmost match and its groups, nil for none.
func (r *Regex) Find(s string) []int {
	if isASCII(s) {
		return r.get().re.FindStringSubmatchIndex(s)
	}
	// Go's regexp works on code points: match over a copy in which each byte is one
	groups := r.get().wide.FindStringSubmatchIndex(widen(s))
	for i, wideIndex := range groups {
		if wideIndex > 0 {
			groups[i] = narrowIndex(s, wideIndex)
		}
	}
	return groups
}

// String returns the expression.
func (r *Regex) String() string { return r.expr }

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
