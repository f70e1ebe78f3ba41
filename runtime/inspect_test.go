package runtime_test

import (
	"fmt"
	"strings"
	"testing"

	"luaserve/runtime"
)

// inspect loads a script as tools do.
func inspect(t *testing.T, script string) *runtime.Program {
	t.Helper()
	cfg := testConfig(&logBuffer{})
	cfg.Inspect = true
	p, err := runtime.Load(writeScript(t, script), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	return p
}

// draw writes a tree as text: a line an action, children further in.
func draw(b *strings.Builder, t runtime.Tree, indent string) {
	b.WriteString(indent)
	if t.Label != "" {
		b.WriteString(t.Label + ": ")
	}
	fmt.Fprintf(b, "%s :%d", t.Node.Name, t.Node.Pos.Line)
	for _, a := range t.Args() {
		fmt.Fprintf(b, " %s=%s", a.Name, a.Value)
	}
	if c := t.Condition(); c != nil {
		fmt.Fprintf(b, " [%s]", c)
	}
	b.WriteString("\n")
	for _, c := range t.Children() {
		draw(b, c, indent+"  ")
	}
}

func TestPipelineIsSeenAsTheScriptWroteIt(t *testing.T) {
	p := inspect(t, `setup.listen "127.0.0.1:0"
setup.server.tag "x"
lua.plugin "core.lua"
local shared = respond("hello")
actions = {
  when(physical.is_file, { header.add("X", "%{req.path}"), shared },
    when(all { request.path:prefix "/a", request.header["H"]:nomatch "^x" }, shared)),
  vhost.map { ["B.test"] = shared, default = { } },
  map("%{req.query}", { { {"a", "b"}, respond(204) } }),
  map_cidr { ["10.0.0.0/8"] = shared },
  vhost.map_regex { { "x$", shared }, { "default", shared } },
  limit.req(5, shared),
  balance.rr { { action = respond "one", name = "first" }, respond "two" },
  core.wsgi("/app", shared),
  server.tag "y",
  function(vr) end,
}`)
	var b strings.Builder
	draw(&b, p.Pipeline(), "")
	want := strings.TrimLeft(`
list :0
  1: when :6 condition=physical.is_file:is() then={header.add, respond} else=when [physical.is_file:is()]
    then: list :0
      1: header.add :6 name="X" value="%{req.path}"
      2: respond :4 status="hello"
    else: when :7 condition=all{request.path:prefix("/a"), request.header["H"]:nomatch("^x")} then=respond [all{request.path:prefix("/a"), request.header["H"]:nomatch("^x")}]
      then: respond :4 status="hello"
  2: vhost.map :8 hosts={{"B.test", respond}, {"default", {}}}
    b.test: respond :4 status="hello"
    default: list :0
  3: map :9 pattern="%{req.query}" actions={{{"a", "b"}, respond}}
    a, b: respond :9 status=204
  4: map_cidr :10 actions={"10.0.0.0/8", respond}
    10.0.0.0/8: respond :4 status="hello"
  5: vhost.map_regex :11 hosts={{"x$", respond}, {"default", respond}}
    x$: respond :4 status="hello"
    default: respond :4 status="hello"
  6: limit.req :12 limit=5 action=respond
    action: respond :4 status="hello"
  7: balance.rr :13 backends={{{"action", respond}, {"name", "first"}}, respond}
    first: respond :13 status="one"
    respond `, "\n")
	if got := b.String(); !strings.HasPrefix(got, want) {
		t.Fatalf("got\n%s\nwant\n%s", got, want)
	}
	for _, end := range []string{
		"  8: core.wsgi :14 1=\"/app\" 2=respond\n    when :", "then: list :", "1: function :", "2: respond :4",
		"  9: server.tag :15 value=\"y\"\n  10: function :16\n",
	} {
		if !strings.Contains(b.String(), end) {
			t.Errorf("no %q in\n%s", end, b.String())
		}
	}
	var setups []string
	for _, s := range p.Setups() {
		setups = append(setups, fmt.Sprint(s.Pos.Line, s.Name, s.Args))
	}
	if got := fmt.Sprint(setups); got != `[1listen[{address "127.0.0.1:0"}] 2server.tag[{value "x"}] 3lua.plugin[{file "core.lua"}]]` {
		t.Errorf("setups: %s", got)
	}
	if actions, _ := p.PluginNames(); fmt.Sprint(actions) != "[auth.require_user core.cached_html core.wsgi core.xsendfile]" {
		t.Errorf("plugin actions: %v", actions)
	}
}

// A chain of else that has an index looks like one without.
func TestPipelineOfIndexedRules(t *testing.T) {
	var chain, list strings.Builder
	for i := range 10 {
		fmt.Fprintf(&chain, "when(request.path:eq '/%d', respond '%d',\n", i, i)
		fmt.Fprintf(&list, "when(request.path:eq '/%d', respond '%d'),\n", i, i)
	}
	p := inspect(t, "actions = { "+chain.String()+"respond 'last'"+strings.Repeat(")", 10)+", {\n"+list.String()+"} }")
	at := p.Pipeline().Children()[0]
	for i := range 10 {
		if got, want := at.Condition().String(), fmt.Sprintf(`request.path:eq("/%d")`, i); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
		if name := at.Args()[0].Name; name != "condition" {
			t.Errorf("%d: the first argument is %q", i, name)
		}
		at = at.Children()[1]
	}
	if at.Label != "else" || at.Node.Name != "respond" || len(at.Children()) != 0 {
		t.Errorf("the last else is %s %s", at.Label, at.Node.Name)
	}
	rules := p.Pipeline().Children()[1].Children()
	if len(rules) != 10 || rules[9].Label != "10" {
		t.Errorf("%d rules", len(rules))
	}
}

func TestConditionsAreSeen(t *testing.T) {
	p := inspect(t, "actions = when(none {\n request.remoteip:ip '10.0.0.0/8',\n request.header['Host']:ne 'x' }, respond 'x')")
	c := p.Pipeline().Condition()
	if c.Operator() != "none" || !c.Negated() || len(c.Parts()) != 2 || p.PosOf(c).Line == 0 {
		t.Errorf("%s at %s", c, p.PosOf(c))
	}
	ip, ne := c.Parts()[0], c.Parts()[1]
	if n, ok := ip.Network(); !ok || n.Bits() != 8 || ip.Negated() || p.PosOf(ip).Line != 2 {
		t.Errorf("%s: %v at %s", ip, n, p.PosOf(ip))
	}
	if name, key := ne.Variable(); name != "request.header" || key != "Host" || ne.Operand() != "x" || !ne.Negated() {
		t.Errorf("%s: %s[%s]", ne, name, key)
	}
}

// Without Config.Inspect the tree is there, and nothing else is kept.
func TestServersKeepNoArguments(t *testing.T) {
	s := load(t, `setup.server.tag "x"
actions = when(request.path:eq "/", respond "x")`)
	root := s.Pipeline()
	if root.Args() != nil || s.Setups() != nil || s.PosOf(root.Condition()) != (runtime.Pos{}) {
		t.Error("arguments were kept")
	}
	if c := root.Children(); len(c) != 1 || c[0].Node.Name != "respond" {
		t.Errorf("children: %v", c)
	}
}
