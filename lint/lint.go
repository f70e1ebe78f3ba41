// Package lint finds what is probably wrong with a script that loads: rules that can never
// matter, orders that undo each other, names that are nil where they are used.
//
// A lint only speaks when it is certain. Where a Lua function, a plugin or an action that it
// does not know comes between, it is silent.
//
//	program, err := runtime.Load(file, runtime.Config{…, Inspect: true})
//	…
//	for _, f := range lint.Check(program, lint.Options{}) {
//		fmt.Println(f.Pos, f.Rule.Code, f.Msg)
//	}
//
// Each lint is one [Rule], from which its explanation, docs/lints.md and its tests are made.
package lint

import (
	"cmp"
	"context"
	"fmt"
	"io/fs"
	"net"
	"os"
	"regexp"
	"slices"
	"strings"
	"time"

	"luaserve/runtime"
	"luaserve/runtime/luatext"
)

// Severity says how bad a finding is.
type Severity uint8

// The severities.
const (
	Info    Severity = iota // good to know
	Warning                 // probably not what was meant
	Error                   // it will fail, or it is unsafe
)

// String returns "info", "warning" or "error".
func (s Severity) String() string { return [...]string{"info", "warning", "error"}[s] }

// MarshalText writes it as a word.
func (s Severity) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// Rule is one lint.
type Rule struct {
	Code     string // L012; it never changes its meaning
	Name     string // in a few words: docroot-after-alias
	Severity Severity
	Summary  string // what is wrong, one sentence
	Why      string // why that is bad, and what to do
	Silent   string // when it says nothing although it might
	Wrong    string // a script with the mistake, and only that
	Right    string // the same, done right
}

// Finding is a place where a rule is broken.
type Finding struct {
	Rule *Rule
	Pos  runtime.Pos
	// Column and Width say where on the line, in bytes, from 1; 0 when that is not known.
	Column, Width int
	Msg           string // one sentence without a full stop
	Hint          string // what to do, ""
	Fix           *Fix   // nil when there is none that is safe
}

// Fix is a change of the script that removes a finding and changes nothing else that it does.
type Fix struct {
	Msg   string // what it does: write setup.server.tag
	Edits []Edit
}

// Edit replaces the bytes from Start to End of the file of its finding.
type Edit struct {
	Start, End int
	New        string
}

// Options say what Check does beyond reading.
type Options struct {
	// Connect tries to connect to the backends' addresses; nil does not.
	Connect func(ctx context.Context, network, address string) (net.Conn, error)
	// Timeout bounds each of them; 0 means 2 s.
	Timeout time.Duration
	// Stat looks for folders that the script names, by absolute path; nil is os.Stat.
	Stat func(name string) (fs.FileInfo, error)
}

// Rules returns all lints, by code.
func Rules() []*Rule {
	rules := slices.Concat(orderRules, conditionRules, mapRules, codeRules, scopeRules, placeRules, loadRules)
	slices.SortFunc(rules, func(a, b *Rule) int { return cmp.Compare(a.Code, b.Code) })
	return rules
}

// Lookup returns the rule with a code or a name, in any case; nil when there is none.
func Lookup(name string) *Rule {
	for _, r := range Rules() {
		if strings.EqualFold(r.Code, name) || strings.EqualFold(r.Name, name) {
			return r
		}
	}
	return nil
}

// Check examines a program that was loaded with [runtime.Config.Inspect]. Findings are in
// the order of the script. What the script has told to ignore is not among them:
//
//	alias { ["/i/"] = "/data" }, -- luaserve:ignore L004
//
// on the line or the one above.
func Check(p *runtime.Program, o Options) []Finding {
	if o.Timeout == 0 {
		o.Timeout = 2 * time.Second
	}
	if o.Stat == nil {
		o.Stat = os.Stat
	}
	c := &checker{prog: p, options: o, files: map[string]*source{}}
	c.survey() // loads handler files, which belong to p.Files then
	for _, name := range p.Files() {
		if s, err := readSource(name); err == nil {
			c.files[name] = s
			c.order = append(c.order, s)
		}
	}
	c.checkPipeline()
	c.checkCode()
	c.checkPlaces()
	c.checkLoad()
	return c.result()
}

// checker collects the findings about one program.
type checker struct {
	prog    *runtime.Program
	options Options
	files   map[string]*source
	order   []*source
	found   []Finding

	all         []runtime.Tree   // every action, once
	handlers    map[string][]int // where the functions of the pipeline begin, by file
	brokenFiles []brokenFile
}

// report adds a finding. at is what to point at on the line: a name, or what a string holds.
// The number of the place is for the case that it stands there several times.
func (c *checker) report(rule *Rule, pos runtime.Pos, at string, number int, hint, format string, args ...any) *Finding {
	f := Finding{Rule: rule, Pos: pos, Msg: fmt.Sprintf(format, args...), Hint: hint}
	if s := c.files[pos.File]; s != nil {
		if places := s.text.Find(pos.Line, at); number < len(places) {
			f.Column, f.Width = places[number].Column, len(places[number].Text)
		}
	}
	c.found = append(c.found, f)
	return &c.found[len(c.found)-1]
}

// result returns what is to be told, in order, nothing twice.
func (c *checker) result() []Finding {
	found := slices.DeleteFunc(c.found, func(f Finding) bool {
		s := c.files[f.Pos.File]
		return s == nil || s.ignores(f.Rule.Code, f.Pos.Line)
	})
	slices.SortStableFunc(found, func(a, b Finding) int {
		return cmp.Or(cmp.Compare(c.fileIndex(a.Pos.File), c.fileIndex(b.Pos.File)), cmp.Compare(a.Pos.Line, b.Pos.Line),
			cmp.Compare(a.Column, b.Column), cmp.Compare(a.Rule.Code, b.Rule.Code), cmp.Compare(a.Msg, b.Msg))
	})
	return slices.CompactFunc(found, func(a, b Finding) bool {
		return a.Rule == b.Rule && a.Pos == b.Pos && a.Column == b.Column && a.Msg == b.Msg
	})
}

func (c *checker) fileIndex(name string) int {
	return slices.IndexFunc(c.order, func(s *source) bool { return s.name == name })
}

// source is a script that the program was made of.
type source struct {
	name string
	text *luatext.Text
}

func readSource(name string) (*source, error) {
	src, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	return &source{name, luatext.New(src)}, nil
}

var ignoreComment = regexp.MustCompile(`luaserve:ignore\s+((?:L\d+[\s,]*)+)`)

// ignores reports whether the script wants to hear nothing of a rule on a line.
func (s *source) ignores(code string, line int) bool {
	for _, tok := range append(s.text.OnLine(line), s.text.OnLine(line-1)...) {
		if tok.Kind != luatext.Comment {
			continue
		}
		if m := ignoreComment.FindStringSubmatch(tok.Text); m != nil && slices.Contains(strings.FieldsFunc(m[1], func(r rune) bool { return r == ' ' || r == ',' }), code) {
			return true
		}
	}
	return false
}
