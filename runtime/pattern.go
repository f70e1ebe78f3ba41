package runtime

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
)

// Pattern is a string with placeholders, parsed once at load time (lighttpd2, "Pattern"):
//
//	%{req.host}       a condition variable; %{enc:req.path} percent-encoded
//	%1 %[1-3] %[2-]   captures of the innermost enclosing regex condition
//	$1 $[2-]          captures of the action: labels of the host in docroot and alias, groups in rewrite
//	\% \$ \\ \?       the character behind the backslash
//
// A Pattern is immutable and safe for concurrent use.
type Pattern struct {
	pieces []piece // nil when the pattern is source as it stands
	source string
}

type pieceKind uint8

const (
	pieceText pieceKind = iota
	pieceVar
	pieceCondCapture
	pieceActionCapture
)

type piece struct {
	kind     pieceKind
	text     string
	lvalue   *LValue
	encode   bool
	from, to int // range of captures; to may be openEnd
}

// openEnd is the end of an open range; it is cut to the last capture there is.
const openEnd = math.MaxInt32

// Captures gives the values of $n placeholders to [Pattern.Eval].
type Captures interface {
	// AppendCaptures appends the values from..to; the range may be reversed.
	AppendCaptures(buf []byte, from, to int) []byte
}

// ParsePattern parses a pattern. Errors say what is wrong and where.
func ParsePattern(s string) (*Pattern, error) {
	p := &Pattern{source: s}
	if !strings.ContainsAny(s, `\%$`) {
		return p, nil
	}
	var text strings.Builder
	flush := func() {
		if text.Len() > 0 {
			p.pieces = append(p.pieces, piece{kind: pieceText, text: text.String()})
			text.Reset()
		}
	}
	for i := 0; i < len(s); {
		c := s[i]
		switch c {
		case '\\':
			if i+1 == len(s) {
				return nil, fmt.Errorf("pattern %q ends with a backslash", s)
			}
			if strings.IndexByte(`\%$?`, s[i+1]) < 0 {
				return nil, fmt.Errorf(`pattern %q: a backslash may only stand before \, %%, $ or ?, not before %q`, s, s[i+1])
			}
			text.WriteByte(s[i+1])
			i += 2
		case '%', '$':
			pc, n, err := parsePlaceholder(s[i:])
			if err != nil {
				return nil, fmt.Errorf("pattern %q: %w", s, err)
			}
			flush()
			p.pieces = append(p.pieces, pc)
			i += n
		default:
			text.WriteByte(c)
			i++
		}
	}
	flush()
	return p, nil
}

// parsePlaceholder reads what begins with % or $ and returns how long it is.
func parsePlaceholder(s string) (piece, int, error) {
	pc := piece{kind: pieceCondCapture}
	if s[0] == '$' {
		pc.kind = pieceActionCapture
	}
	if len(s) < 2 {
		return pc, 0, fmt.Errorf(`expected a digit, "[" or "{" after %q; write "\%c" for the character itself`, s[:1], s[0])
	}
	switch c := s[1]; {
	case c >= '0' && c <= '9':
		pc.from = int(c - '0')
		pc.to = pc.from
		return pc, 2, nil
	case c == '[':
		end := strings.IndexByte(s, ']')
		if end < 0 {
			return pc, 0, fmt.Errorf(`missing "]" in %q`, s)
		}
		var err error
		pc.from, pc.to, err = parseRange(s[2:end])
		return pc, end + 1, err
	case c == '{' && s[0] == '%':
		end := strings.IndexByte(s, '}')
		if end < 0 {
			return pc, 0, fmt.Errorf(`missing "}" in %q`, s)
		}
		name, encoded := strings.CutPrefix(s[2:end], "enc:")
		lv, err := parseLValue(name)
		return piece{kind: pieceVar, lvalue: lv, encode: encoded}, end + 1, err
	}
	return pc, 0, fmt.Errorf(`expected a digit, "[" or "{" after %q; write "\%c" for the character itself`, s[:1], s[0])
}

func parseRange(s string) (from, to int, err error) {
	lo, hi, isRange := strings.Cut(s, "-")
	if lo == "" && hi == "" {
		return 0, 0, fmt.Errorf("empty range [%s]; expected [n], [n-m], [n-] or [-m]", s)
	}
	from, to = openEnd, openEnd
	if lo != "" {
		if from, err = parseIndex(lo, s); err != nil {
			return
		}
	}
	if !isRange {
		return from, from, nil
	}
	if hi != "" {
		to, err = parseIndex(hi, s)
	}
	return
}

func parseIndex(digits, whole string) (int, error) {
	n, err := strconv.ParseUint(digits, 10, 30)
	if err != nil {
		return 0, fmt.Errorf("bad range [%s]; expected [n], [n-m], [n-] or [-m]", whole)
	}
	return int(n), nil
}

// String returns the pattern as it was written.
func (p *Pattern) String() string { return p.source }

// Text returns the text of a pattern without placeholders, and whether it is one.
func (p *Pattern) Text() (string, bool) {
	switch {
	case len(p.pieces) == 0:
		return p.source, true
	case len(p.pieces) == 1 && p.pieces[0].kind == pieceText:
		return p.pieces[0].text, true
	}
	return "", false
}

// Prefix returns the text before the first placeholder.
func (p *Pattern) Prefix() string {
	switch {
	case len(p.pieces) == 0:
		return p.source
	case p.pieces[0].kind == pieceText:
		return p.pieces[0].text
	}
	return ""
}

// UsesCaptures reports whether the pattern has a $n in it.
func (p *Pattern) UsesCaptures() bool {
	return slices.ContainsFunc(p.pieces, func(pc piece) bool { return pc.kind == pieceActionCapture })
}

// Eval returns the pattern with its placeholders filled in for vr. captures may be nil:
// $n is empty then.
func (p *Pattern) Eval(vr *VRequest, captures Captures) string {
	if text, ok := p.Text(); ok {
		return text
	}
	if len(p.pieces) == 1 && p.pieces[0].kind == pieceVar && !p.pieces[0].encode {
		s, _ := p.pieces[0].lvalue.text(vr)
		return s
	}
	var stack [256]byte
	return string(p.Append(stack[:0], vr, captures))
}

// Append is Eval into a buffer.
func (p *Pattern) Append(buf []byte, vr *VRequest, captures Captures) []byte {
	if len(p.pieces) == 0 {
		return append(buf, p.source...)
	}
	for i := range p.pieces {
		pc := &p.pieces[i]
		switch pc.kind {
		case pieceText:
			buf = append(buf, pc.text...)
		case pieceVar:
			// a variable that has no value yet (the response before there is one) is empty
			s, _ := pc.lvalue.text(vr)
			if pc.encode {
				s = EncodePath(s)
			}
			buf = append(buf, s...)
		case pieceCondCapture:
			buf = vr.appendCaptures(buf, pc.from, pc.to)
		case pieceActionCapture:
			if captures != nil {
				buf = captures.AppendCaptures(buf, pc.from, pc.to)
			}
		}
	}
	return buf
}

// match is what a regex found: the subject and the index pairs of its groups. Those of a
// condition are looked for when a pattern first wants one: most matches are only a yes.
type match struct {
	subject string
	groups  []int
	regex   *Regex // nil when the groups are known
}

// Captures makes the groups of an expression that matches subject available as $n. They
// are looked for when a pattern first wants one.
func (r *Regex) Captures(subject string) Captures { return &match{subject: subject, regex: r} }

// AppendCaptures implements [Captures].
func (m *match) AppendCaptures(buf []byte, from, to int) []byte {
	if m.regex != nil {
		m.groups, m.regex = m.regex.Find(m.subject), nil
	}
	last := len(m.groups)/2 - 1
	from, to = min(from, last+1), min(to, last+1)
	step := 1
	if from > to {
		step = -1
	}
	for i := from; ; i += step {
		if i >= 0 && i <= last && m.groups[2*i] >= 0 {
			buf = append(buf, m.subject[m.groups[2*i]:m.groups[2*i+1]]...)
		}
		if i == to {
			return buf
		}
	}
}

// HostLabels makes the labels of a host name available as $n: $1 is the top-level
// label, $0 the whole name; ranges are written from the right to the left and joined with
// dots; an index beyond the last label is the last one (lighttpd2, docroot).
type HostLabels string

// Complete reports whether every label has a name. A label without one would shorten a path
// that is made of labels, to the directory that holds all hosts.
func (h HostLabels) Complete() bool {
	host := string(h)
	return host != "" && host[0] != '.' && !strings.Contains(host, "..")
}

// AppendCaptures implements [Captures].
func (h HostLabels) AppendCaptures(buf []byte, from, to int) []byte {
	host := string(h)
	if from == 0 || to == 0 {
		return append(buf, host...)
	}
	count := strings.Count(host, ".") + 1
	from, to = min(from, count), min(to, count)
	step := 1
	if to > from {
		step = -1
	}
	for i := to; ; i += step {
		buf = append(buf, label(host, i)...)
		if i == from {
			return buf
		}
		buf = append(buf, '.')
	}
}

// label returns the n-th label of host from the right, n from 1.
func label(host string, n int) string {
	for ; n > 1; n-- {
		host = host[:strings.LastIndexByte(host, '.')]
	}
	return host[strings.LastIndexByte(host, '.')+1:]
}
