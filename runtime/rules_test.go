package runtime_test

import (
	"fmt"
	"log/slog"
	"net/netip"
	"strings"
	"testing"
	"testing/fstest"

	"pgregory.net/rapid"

	"luaserve/runtime"
)

// What a list or a chain with an index does, step by step. %s are rules that never match,
// enough for an index.
func TestRulesInOrder(t *testing.T) {
	for _, tt := range []struct{ name, script, target, want string }{
		{"each rule that matches runs, in order",
			`{ %s, a(request.path:suffix "x", "1"), %s, a(request.path:prefix "/a", "2"), a(request.path:eq "/a/x", "3"), a(request.path:match "a.x", "4"), show }`, "/a/x", "1234"},
		{"a rewrite counts for the rules behind it",
			`{ %s, when(request.path:eq "/a", rewrite "/b"), a(request.path:eq "/a", "old"), a(request.path:eq "/b", "new"), show }`, "/a", "new"},
		{"and not for those before it",
			`{ %s, a(request.path:eq "/b", "before"), when(request.path:eq "/a", rewrite "/b"), show }`, "/a", ""},
		{"a header that a rule sets counts too",
			`{ %s, when(request.path:eq "/a", req_header.add("X", "y")), a(request.header["X"]:eq "y", "1"), show }`, "/a", "1"},
		{"so does what Lua does",
			`{ %s, function(vr) vr.req.uri.path = "/c" end, a(request.path:eq "/c", "1"), show }`, "/a", "1"},
		{"captures are those of the rule",
			`{ %s, a(request.path:match "^/(.)(.)", "%%2%%1"), a(request.path:suffix "b", "(%%1)"), show }`, "/ab", "ba()"},
		{"a hundred rules that all match",
			`{ %s, unpack(repeated(100, a(request.path:prefix "/", "x"))) }`, "/", strings.Repeat("x", 100)},
		{"a rule that shares its variable with none of the others",
			`{ %s, a(request.query:eq "q", "1"), a(request.method:eq "GET", "2"), a(request.scheme:eq "http", "3"), a(request.host:eq "example.net", "4"), show }`, "/?q", "1234"},
		{"the first that holds in a chain, and no other",
			`chain({ %s, {request.path:prefix "/a", "1"}, {request.path:prefix "/", "2"} }, "last")`, "/a", "1"},
		{"the last else of a chain", `chain({ %s, {request.path:prefix "/a", "1"} }, "last")`, "/b", "last"},
		{"captures of a condition that failed in the end",
			`chain({ %s, {all { request.path:match "^/(.)", request.path:eq "/no" }, "1"} }, "%%1")`, "/b", "b"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var never []string
			for i := range 10 {
				rule := fmt.Sprintf("a(request.path:prefix '/never%d', 'never')", i)
				if strings.HasPrefix(tt.script, "chain") {
					rule = fmt.Sprintf("{request.path:prefix '/never%d', 'never'}", i)
				}
				never = append(never, rule)
			}
			script := strings.ReplaceAll(strings.ReplaceAll(tt.script, "%s", strings.Join(never, ", ")), "%%", "%")
			s := load(t, `
local function a(cond, text) return when(cond, env.set("T", "%{req.env[T]}" .. text)) end
local show = respond "%{req.env[T]}"
local function repeated(n, rule) local l = {}; for i = 1, n do l[i] = rule end; l[n + 1] = show; return l end
local function chain(rules, last)
  local c = respond(last)
  for i = #rules, 1, -1 do c = when(rules[i][1], respond(rules[i][2]), c) end
  return c
end
actions = `+script)
			if s.Indexed() < 10 {
				t.Errorf("%d rules are indexed", s.Indexed())
			}
			if got := body(s.Program, tt.target); got != tt.want {
				t.Errorf("got %q, want %q\n%s", got, tt.want, s.log)
			}
		})
	}
}

func body(p *runtime.Program, target string) string {
	reply := p.Handle(&fakeExchange{target: target})
	defer reply.Close()
	var out strings.Builder
	if err := reply.WriteBody(&out, nil); err != nil {
		return err.Error()
	}
	return out.String()
}

// An error behind an index is that of the plain list, with the same place.
func TestRulesFailAtTheirPlace(t *testing.T) {
	script := "actions = {\n"
	for i := range 20 {
		script += fmt.Sprintf("when(response.header['X']:eq 'x%d', header.add('X-%d', 'y')),\n", i, i)
	}
	s := load(t, script+"respond 'x' }")
	if status, _ := s.get("/"); status != 500 || !strings.Contains(s.log.String(), `site.lua:2: when: response.header[\"X\"]:eq(\"x0\"): there is no response yet`) {
		t.Errorf("status %d\n%s", status, s.log)
	}
}

// Every rule of the shapes that BenchmarkRules measures is found by an index.
func TestRulesAreIndexed(t *testing.T) {
	for _, shape := range ruleShapes {
		for _, chain := range []bool{false, true} {
			const n = 100 // and an answer behind them: 101 entries
			s := load(t, rulesScript(n, shape.rule, chain))
			if s.Indexed() != n {
				t.Errorf("%s, chain %v: %d of %d rules are indexed", shape.name, chain, s.Indexed(), n)
			}
		}
	}
}

// With an index a pipeline must answer what it answers when the conditions are tested one
// by one: the same head, body and log, byte for byte.
func TestRulesAsOneByOne(t *testing.T) { rapid.Check(t, compareWithOneByOne) }

func FuzzRulesAsOneByOne(f *testing.F) { f.Fuzz(rapid.MakeFuzz(compareWithOneByOne)) }

func compareWithOneByOne(t *rapid.T) {
	g := newRulesGen(t)
	script := "actions = " + g.script()
	indexed, indexedLog := loadQuietly(t, script, runtime.Load)
	plain, plainLog := loadQuietly(t, script, runtime.LoadOneByOne)
	defer indexed.Close()
	defer plain.Close()
	for range 8 {
		ex := g.request()
		got, want := answerOf(indexed, ex), answerOf(plain, ex)
		if got != want || indexedLog.String() != plainLog.String() {
			t.Fatalf("%s %v\n%s\n got %s\n%s\nwant %s\n%s", ex.target, ex.fields, script, got, indexedLog, want, plainLog)
		}
	}
}

// loadQuietly loads a script with a log whose lines have no time.
func loadQuietly(t *rapid.T, script string, load func(string, runtime.Config) (*runtime.Program, error)) (*runtime.Program, *logBuffer) {
	log := &logBuffer{}
	cfg := testConfig(log)
	cfg.Log = slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return a
	}}))
	cfg.Scripts = fstest.MapFS{"site.lua": {Data: []byte(script)}}
	p, err := load("luaserve:site.lua", cfg)
	if err != nil {
		t.Fatalf("%s\n%v", script, err)
	}
	return p, log
}

// answerOf returns the whole answer to a request.
func answerOf(p *runtime.Program, ex *fakeExchange) string { return textOf(p.Handle(ex)) }

func textOf(reply *runtime.Reply) string {
	defer reply.Close()
	var out strings.Builder
	fmt.Fprintln(&out, reply.Status)
	for name, value := range reply.Header.All() {
		fmt.Fprintf(&out, "%s: %s\n", name, value)
	}
	if err := reply.WriteBody(&out, nil); err != nil {
		fmt.Fprintln(&out, err)
	}
	return out.String()
}

// rulesGen draws scripts and requests of the same few texts, so that much of what a script
// looks for is there.
type rulesGen struct {
	t         *rapid.T
	texts     []string
	variables []string
}

func newRulesGen(t *rapid.T) *rulesGen {
	g := &rulesGen{t: t}
	all := []string{"a", "b", "ab", "AB", "aba", "bab", "x.php", "x.PHP", "ä", "\n"}
	g.texts = rapid.SliceOfNDistinct(rapid.SampledFrom(all), 1, 4, rapid.ID[string]).Draw(t, "texts")
	g.variables = []string{"request.path", "request.path", "request.path", "request.path", `request.header["X-A"]`, `request.env["E"]`}
	if g.chance(3) {
		g.variables = append(g.variables, "request.query", `request.header["x-a"]`, "physical.path", "request.host", "request.raw_path", "request.is_handled")
	}
	if g.chance(4) {
		g.variables = append(g.variables, `response.header["X-R"]`, "response.status", "request.length")
	}
	return g
}

// chance is true once in n times.
func (g *rulesGen) chance(n int) bool { return g.upTo(n-1) == n-1 }

func (g *rulesGen) upTo(n int) int { return rapid.IntRange(0, n).Draw(g.t, "n") }

func (g *rulesGen) of(list ...string) string { return rapid.SampledFrom(list).Draw(g.t, "of") }

func (g *rulesGen) text() string { return g.of(g.texts...) }

// texts of up to n, with something between.
func (g *rulesGen) join(n int, sep string) string {
	parts := make([]string, g.upTo(n))
	for i := range parts {
		parts[i] = g.text()
	}
	return strings.Join(parts, sep)
}

func (g *rulesGen) request() *fakeExchange {
	ex := &fakeExchange{target: runtime.EncodePath("/" + g.join(3, g.of("", "/"))), host: g.of("a.test", "b.test", "www.a.test")}
	if g.chance(2) {
		ex.target += "?" + runtime.EncodePath(g.text())
	}
	if g.chance(2) {
		ex.remote = netip.MustParseAddr(g.of("10.0.0.1", "10.0.0.130", "10.1.0.1", "::1", "2001:db8::1", "::ffff:10.0.0.1"))
	}
	for range g.upTo(2) {
		ex.fields = append(ex.fields, runtime.Field{Name: "X-A", Value: "/" + strings.TrimSpace(g.text())})
	}
	return ex
}

// networks are those that conditions ask for.
var networks = []string{"127.0.0.1", "127.0.0.0/8", "10.0.0.0/8", "10.0.0.0/24", "10.0.0.128/25", "10.0.0.1", "0.0.0.0/0", "::/0", "::1", "2001:db8::/32", "::ffff:10.0.0.0/104"}

func (g *rulesGen) script() string {
	rules := g.actions(8+g.upTo(24), 2)
	if g.chance(2) {
		return "{ respond 'x', " + rules + "}"
	}
	return rules
}

// actions draws a list of n actions, or a chain of n else.
func (g *rulesGen) actions(n, depth int) string {
	if g.chance(3) {
		chain := g.action(0)
		for range n {
			chain = fmt.Sprintf("when(%s,\n %s,\n %s)", g.condition(2), g.action(depth), chain)
		}
		return chain
	}
	rules := make([]string, n)
	for i := range rules {
		rules[i] = g.rule(depth)
	}
	return "{" + strings.Join(rules, ",\n ") + "}"
}

func (g *rulesGen) rule(depth int) string {
	cond, act := g.condition(2), g.action(depth)
	switch g.upTo(11) {
	case 1:
		return act
	case 2:
		return fmt.Sprintf("when(%s, nil, %s)", cond, act)
	case 3:
		return fmt.Sprintf("when(%s, %s, when(%s, %s))", cond, act, g.condition(2), g.action(depth))
	case 4:
		return fmt.Sprintf("{when(%s, %s), when(%s, %s)}", cond, act, g.condition(2), g.action(depth))
	case 5:
		return fmt.Sprintf("when(%s, %s, %s)", cond, act, g.action(depth))
	}
	return fmt.Sprintf("when(%s, %s)", cond, act)
}

// action draws an action that leaves a trace, changes what conditions test, or fails.
func (g *rulesGen) action(depth int) string {
	switch g.upTo(14) {
	case 1, 2:
		return fmt.Sprintf(`rewrite %q`, g.pattern())
	case 3:
		return fmt.Sprintf(`rewrite("a(.*)", %q)`, g.pattern())
	case 4:
		return fmt.Sprintf(`req_header.overwrite("X-A", %q)`, g.pattern())
	case 5:
		return fmt.Sprintf(`env.set("E", %q)`, g.pattern())
	case 6:
		return fmt.Sprintf(`header.overwrite("X-R", %q)`, g.pattern())
	case 7:
		return fmt.Sprintf(`respond(%q)`, g.pattern())
	case 8:
		return fmt.Sprintf(`docroot(%q)`, g.pattern())
	case 9, 10:
		if depth > 0 {
			return g.actions(g.upTo(4)+8*g.upTo(1), depth-1)
		}
	case 11:
		return "{}"
	case 12:
		pairs := make([]string, 1+g.upTo(12))
		for i := range pairs {
			pairs[i] = fmt.Sprintf("{%q, %q}", g.regex(), g.pattern())
		}
		return "rewrite {" + strings.Join(pairs, ", ") + "}"
	}
	return fmt.Sprintf(`header.add("X-T", %q)`, g.pattern())
}

// pattern draws a pattern that shows captures and variables.
func (g *rulesGen) pattern() string {
	return g.of("/%1", "/"+strings.TrimSpace(g.text()), "/%0/$1", "/%[0-2]a", "/%{req.path}", "%{req.header[X-A]}", "/%{req.query}", "/%{phys.path}")
}

func (g *rulesGen) condition(depth int) string {
	if depth > 0 && g.chance(4) {
		parts := make([]string, 1+g.upTo(2))
		if g.chance(4) {
			parts = make([]string, 8+g.upTo(4))
		}
		for i := range parts {
			parts[i] = g.condition(depth - 1)
		}
		return g.of("all", "any", "none") + "{" + strings.Join(parts, ", ") + "}"
	}
	if g.chance(8) {
		op := g.of("ip", "ip", "notip", "eq", "ne")
		return fmt.Sprintf("%s:%s %q", g.of("request.remoteip", "request.remoteip", "request.localip"), op, g.of(networks...))
	}
	variable := g.of(g.variables...)
	op := g.of("eq", "prefix", "suffix", "match", "match", "ne", "notprefix", "notsuffix", "nomatch")
	if variable == "response.status" || variable == "request.length" {
		return variable + `:lt "300"`
	}
	if op == "match" || op == "nomatch" {
		return fmt.Sprintf("%s:%s %q", variable, op, g.regex())
	}
	text := g.join(2, g.of("", "/"))
	if op != "suffix" && op != "notsuffix" {
		text = "/" + text
	}
	return fmt.Sprintf("%s:%s %q", variable, op, text)
}

// regex draws an expression of pieces that say something about the subject, and of such
// that do not.
func (g *rulesGen) regex() string {
	expr := ""
	if g.chance(2) {
		for range g.upTo(4) {
			expr += g.of("a", "b", "ab", "x", "/", `\.php`, "(a|ab)", "(ab|x.*)", "[ab]", "[^a]", ".*", ".", "a+", "(ab)?", "(?:ab){2}", "(?i:AB)",
				"(?i)x", "(^|/)a", "a($|/)", `\w+`, `\b`, "^", "$", "ä", `\xc3`, "(^/a.*|b)", "()")
		}
	} else {
		expr = g.of("", "(.*)") + g.join(2, g.of("", "(.*)", "/")) + g.of("", "(.*)")
	}
	return g.of("", "^", "^/") + expr + g.of("", "$")
}
