package lint

import (
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"luaserve/bindings"
	"luaserve/runtime"
)

// conditions loads a list of conditions as a script writes them.
func conditions(t *testing.T, texts []string) []*runtime.Condition {
	t.Helper()
	file := filepath.Join(t.TempDir(), "site.lua")
	script := "actions = { respond 'x', "
	for _, text := range texts {
		script += "when(" + text + ", respond 'x'),\n"
	}
	if err := os.WriteFile(file, []byte(script+"}"), 0o600); err != nil {
		t.Fatal(err)
	}
	p, err := runtime.Load(file, runtime.Config{Modules: bindings.Modules(), Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	var out []*runtime.Condition
	for _, c := range p.Pipeline().Children()[1:] {
		out = append(out, c.Condition())
	}
	return out
}

// holds says whether a condition is true when the path is text and the port is number.
func holds(c *runtime.Condition, text string, number int64) bool {
	if parts := c.Parts(); parts != nil {
		if c.Operator() == "all" {
			return !slices.ContainsFunc(parts, func(p *runtime.Condition) bool { return !holds(p, text, number) })
		}
		any := slices.ContainsFunc(parts, func(p *runtime.Condition) bool { return holds(p, text, number) })
		return any == (c.Operator() == "any")
	}
	n, _ := strconv.ParseInt(c.Operand(), 10, 64)
	is := false
	switch op := strings.TrimPrefix(c.Operator(), "not"); op {
	case "eq", "ne":
		if variable, _ := c.Variable(); variable == "request.localport" {
			is = strconv.FormatInt(number, 10) == c.Operand()
		} else {
			is = text == c.Operand()
		}
	case "prefix":
		is = strings.HasPrefix(text, c.Operand())
	case "suffix":
		is = strings.HasSuffix(text, c.Operand())
	case "match", "nomatch":
		is = regexp.MustCompile(c.Operand()).MatchString(text)
	case "lt":
		is = number < n
	case "le":
		is = number <= n
	case "gt":
		is = number > n
	case "ge":
		is = number >= n
	default:
		panic(op)
	}
	return is != c.Negated()
}

// made makes a condition up.
func made(r *rand.Rand, depth int) string {
	pick := func(list ...string) string { return list[r.IntN(len(list))] }
	if depth > 0 && r.IntN(3) == 0 {
		parts := make([]string, 1+r.IntN(3))
		for i := range parts {
			parts[i] = made(r, depth-1)
		}
		return pick("all", "any", "none") + "{" + strings.Join(parts, ", ") + "}"
	}
	if r.IntN(4) == 0 {
		return fmt.Sprintf("request.localport:%s(%d)", pick("eq", "ne", "lt", "le", "gt", "ge"), r.IntN(4))
	}
	text := pick("", "/", "/a", "/b", "/a/", "a", "/ab", "b", "/aa")
	op := pick("eq", "ne", "prefix", "notprefix", "suffix", "notsuffix", "match", "nomatch")
	if strings.HasSuffix(op, "match") && r.IntN(2) == 0 {
		text = "^" + text + pick("", "$")
	}
	return fmt.Sprintf("request.path:%s(%q)", op, text)
}

// What judge is certain of is so for every value that the facts allow.
func TestJudgeIsRight(t *testing.T) {
	texts := []string{""}
	for from := 0; len(texts) < 400; from++ {
		for _, c := range "/ab" {
			texts = append(texts, texts[from]+string(c))
		}
	}
	r := rand.New(rand.NewPCG(1, 2))
	var written []string
	for range 3000 {
		written = append(written, made(r, 2))
	}
	all := conditions(t, written)
	certain := 0
	for i := 0; i+2 < len(all); i += 3 {
		facts := []fact{newFact(all[i], r.IntN(2) == 0, runtime.Tree{}), newFact(all[i+1], r.IntN(2) == 0, runtime.Tree{})}
		facts = facts[:1+r.IntN(2)]
		asked := all[i+2]
		v := judge(facts, asked)
		if v == unknown {
			continue
		}
		certain++
		for _, text := range texts {
			for number := range int64(6) {
				if slices.ContainsFunc(facts, func(f fact) bool { return holds(f.cond, text, number) != f.is }) {
					continue
				}
				if holds(asked, text, number) != (v == always) {
					t.Fatalf("path %q, port %d: %s is said to be %t\nwhen %s", text, number, asked, v == always, facts)
				}
			}
		}
	}
	if certain < 100 {
		t.Errorf("only %d judgements: the test says little", certain)
	}
}

// String is for the messages of tests.
func (f fact) String() string { return fmt.Sprintf("%s is %t", f.cond, f.is) }

func TestSlowPatterns(t *testing.T) {
	for pattern, want := range map[string]string{
		".-.-.-b": ".-.-", ".*.*x": ".*.*", "(.*)(.*)x": ".*.*", "%s*%s+x": "%s*%s+", "[a-z]*[a-z]*$": "[a-z]*[a-z]*",
		".*.*": "", ".*x.*y": "", "^%s*(.-)%s*$": "", "%d+%.%d+": "", "": "", "%": "", "[": "", "%b()%b()": "", "a?a?b": "",
		".*.*$": ".*.*", "%f[%a].-": "", "x*y*z": "", "[]]*[]]*x": "[]]*[]]*", "[^]]*[^]]*x": "[^]]*[^]]*",
	} {
		if got := slowPart(pattern); got != want {
			t.Errorf("%q: got %q, want %q", pattern, got, want)
		}
	}
}

func FuzzSlowPart(f *testing.F) {
	f.Add(".-.-b")
	f.Add("[^%]]*%")
	f.Fuzz(func(t *testing.T, pattern string) {
		if part := slowPart(pattern); part != "" && !strings.ContainsAny(part, "*+-") {
			t.Errorf("%q: %q", pattern, part)
		}
	})
}
