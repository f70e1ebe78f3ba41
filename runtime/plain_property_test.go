package runtime_test

import (
	"fmt"
	"regexp"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"luaserve/runtime"
)

// configWriter writes configurations that nobody would, right and wrong ones.
type configWriter struct {
	t     *rapid.T
	depth int
}

func (w *configWriter) pick(what string, from ...string) string {
	return rapid.SampledFrom(from).Draw(w.t, what)
}

func (w *configWriter) text() string {
	return w.pick("text", `"x"`, `"/a"`, `"/a"`, `'b\\.c'`, `"a\"b"`, `'\.\''`, `"\65"`, `"%{req.path}"`, `"%1"`, `""`, `[[long]]`)
}

func (w *configWriter) condition() string {
	switch rapid.IntRange(0, 9).Draw(w.t, "condition") {
	case 0, 1, 2, 3:
		return w.pick("variable", "request.path", "request.host", "physical.path", `request.header["H"]`, "request . query") +
			":" + w.pick("operator", "eq", "prefix", "suffix", "match") + w.pick("call", "(", " ( ") + w.text() + ")"
	case 4:
		return w.pick("flag", "physical.is_file", "physical.is_file:is()", "request.length:gt(5)", `request.remoteip:ip "10.0.0.0/8"`, "cond", "request.path:eq(1)")
	case 5:
		return w.pick("combination", "all", "any", "none") + " { " + w.condition() + ", " + w.condition() + " }"
	case 6:
		if !w.rarely() {
			return "cond"
		}
		return w.pick("wrong", `request.path:nosuch "x"`, `request.path:match "("`, `request.pat:eq "x"`, `request.path.eq "x"`, "request.path", "request.header:eq 'x'", "request.path:eq{}", "request.path:is(1, two())", "true")
	default:
		return `request.path:prefix "/x"`
	}
}

func (w *configWriter) action() string {
	w.depth++
	defer func() { w.depth-- }()
	if w.depth > 4 {
		return `respond "deep"`
	}
	kind := rapid.IntRange(0, 20).Draw(w.t, "action")
	if kind == 8 && !w.rarely() {
		kind = 20
	}
	switch kind {
	case 0, 1, 2:
		return "when(" + w.condition() + ", " + w.branch() + w.pick("else", "", ", "+w.branch()) + ")"
	case 3:
		return w.pick("list", "list", "id", "see") + w.branch()
	case 4:
		return "header.add(" + w.text() + ", " + w.pick("header", w.text(), w.text(), w.value()) + ")"
	case 5:
		return "env.set(\"R\"," + w.text() + ")"
	case 6:
		return w.pick("name", "action.redirect", "redirect", "rewrite", "docroot", "respond", "server.tag", "alias", "action . respond") + w.pick("space", " ", "\n") + w.text()
	case 7:
		return w.pick("lua", "two()", "none()", "id(two())", "(two())", "act", "fail('mine')", "see(act)", "o:m(1)", "o.m(o, two())", "o.nothing.x", "nothing()", "tostring(1)", "change()")
	case 8:
		return w.pick("wrong", "nosuch.action()", "respnd 'x'", "header:add('a', 'b')", "header.add(header, 'x', 'y')", "header", "header.add", "setup.server.tag 'x'", "setup.nosuch()", "request", "action", "action()", "header.add('a')", "respond({})", "respond { 1, 'x' }", "when(true, act)", "vhost.map(two())")
	case 9:
		return "vhost.map { [\"a.test\"] = " + w.branch() + ", default = " + w.branch() + " }"
	case 10:
		return `core.wsgi("/app", ` + w.branch() + ")"
	case 11:
		return w.pick("operator", "act or nil", "'a' .. 1", "not act", "#{ 1 }", "function(vr) end", "-1", "- 1", "1 + 1", "...", "02", "0x10", "1e3", "1.5")
	default:
		return w.pick("plain", `respond "x"`, "respond(404)", `redirect "/y"`, "static()", `expire "access 1 week"`)
	}
}

// branch is mostly one of the things that actions take.
func (w *configWriter) branch() string {
	if w.rarely() {
		return w.value()
	}
	var b strings.Builder
	b.WriteString("{" + w.pick("pad", "", strings.Repeat(" ", 300)))
	for range rapid.IntRange(0, 3).Draw(w.t, "actions") {
		b.WriteString(" " + w.action() + w.pick("separator", ",", ";", ",\n", ", -- rest\n"))
	}
	return b.String() + "}"
}

func (w *configWriter) value() string {
	switch rapid.IntRange(0, 9).Draw(w.t, "value") {
	case 0, 1:
		return w.text()
	case 2:
		return w.pick("constant", "1", "-2.5", "0", "nil", "true", "false", "cond")
	case 3, 4:
		return w.table()
	default:
		return w.action()
	}
}

func (w *configWriter) table() string {
	var b strings.Builder
	b.WriteString("{" + w.pick("pad", "", strings.Repeat(" ", 300)))
	named := rapid.IntRange(0, 4).Draw(w.t, "named") == 0
	for i := range rapid.IntRange(0, 4).Draw(w.t, "fields") {
		if named && (i > 0 || !w.rarely()) {
			b.WriteString(w.pick("key", fmt.Sprintf("k%d = ", i), fmt.Sprintf(`["k%d"] = `, i), "same = ", fmt.Sprintf("[%d] = ", i+1)))
		}
		b.WriteString(w.value() + w.pick("separator", ", ", ",\n", "; ", ", -- rest\n"))
	}
	return b.String() + "}"
}

func (w *configWriter) rarely() bool { return rapid.IntRange(0, 9).Draw(w.t, "rarely") == 0 }

const plainPrologue = `lua.plugin "core.lua"
local cond, act, o = request.path:eq "/c", respond "local", { m = function(self, a, b) return b or respond "method" end }
function two() return header.add("A", "1"), header.add("B", "2") end
function none() end
function id(...) return ... end
function fail(m) error(m, 2) end
function see(t) if type(t) == "table" then for k, v in pairs(t) do server_tag = tostring(k) .. tostring(v) end end return t end
function change() respond = redirect; return respond "/changed" end
actions = `

// What has no code but names, tables and calls is not compiled in a large script. It is what it
// is in a small one: the same actions at the same places, or the same error.
func TestPlainPiecesAsCompiled(t *testing.T) {
	dir := t.TempDir()
	rapid.Check(t, func(t *rapid.T) {
		w := &configWriter{t: t}
		script := plainPrologue + "{" + strings.Repeat(" ", 300)
		for range rapid.IntRange(1, 4).Draw(t, "entries") {
			script += w.action() + ",\n"
		}
		script += "}\n"
		want := configured(t, dir, script)
		got := configured(t, dir, script+"--"+strings.Repeat("x", 300<<10))
		if got != want {
			t.Fatalf("%s\n got %s\nwant %s", script, got, want)
		}
	})
}

// objectPlace is what Lua prints of tables, functions and objects, other each time.
var objectPlace = regexp.MustCompile(`0x[0-9a-f]+`)

// configured describes what comes of a script: its pipeline, its warnings, what it logged, or why
// it is refused.
func configured(t *rapid.T, dir, script string) string {
	log := &logBuffer{}
	cfg := testConfig(log)
	cfg.Inspect = true
	cfg.Unsaved = map[string][]byte{dir + "/site.lua": []byte(script)}
	p, err := runtime.Load(dir+"/site.lua", cfg)
	if err != nil {
		return err.Error()
	}
	defer p.Close()
	var b strings.Builder
	draw(&b, p.Pipeline(), "")
	drawConditions(&b, p, p.Pipeline())
	fmt.Fprintf(&b, "%v\n%v\n", p.Warnings(), p.Setups())
	return objectPlace.ReplaceAllString(b.String(), "")
}

// drawConditions writes where the conditions were made.
func drawConditions(b *strings.Builder, p *runtime.Program, t runtime.Tree) {
	if c := t.Condition(); c != nil {
		fmt.Fprintln(b, c, p.PosOf(c))
	}
	for _, child := range t.Children() {
		drawConditions(b, p, child)
	}
}
