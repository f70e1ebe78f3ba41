package runtime_test

import (
	"fmt"
	goruntime "runtime"
	"strings"
	"sync"
	"testing"

	"luaserve/runtime"
)

// largeScript makes the script one that is compiled in pieces: each table that has PAD in
// it is long enough to be one.
func largeScript(script string) string {
	pad := "--[[" + strings.Repeat("x", 300) + "]]"
	return strings.ReplaceAll(script, "PAD", pad) + "\n--" + strings.Repeat("x", 300<<10)
}

// A large script is what it would be as a small one.
func TestLargeScript(t *testing.T) {
	s := load(t, largeScript(say+`
local n, site = 0, "%{req.host}"
local function count(vr) n = n + 1; say(vr, n) end
actions = vhost.map {
  ["a.test"] = { PAD
    when(request.path:prefix "/count", { count }),
    when(request.path:prefix "/own", { PAD function(vr) n = n + 10; say(vr, n) end }),
    when(request.path:eq "/fail", { PAD header.add("X", "%{req.header[X-Bad]}") }),
    when(request.path:eq "/lua", function(vr) error("on purpose") end),
    respond(site),
  },
  default = { PAD when(request.path:prefix "/", { count }) },
}`))
	for _, step := range []struct{ target, want string }{
		{"http://a.test/", "a.test"}, {"http://a.test/count", "1"}, {"http://a.test/own", "11"}, {"http://b.test/", "12"}, {"http://a.test/count", "13"},
	} {
		if got := body(s.Program, step.target); got != step.want {
			t.Errorf("%s: got %q, want %q\n%s", step.target, got, step.want, s.log)
		}
	}
	s.wantStates(t, 1)
	line := 1 + strings.Count(say, "\n")
	reply := s.Handle(&fakeExchange{target: "http://a.test/fail", fields: []runtime.Field{{Name: "X-Bad", Value: "a\rb"}}})
	reply.Close()
	body(s.Program, "http://a.test/lua")
	for _, want := range []string{fmt.Sprintf("site.lua:%d: header.add: the value of X has a line break", line+7), fmt.Sprintf("site.lua:%d: on purpose", line+8)} {
		if !strings.Contains(s.log.String(), want) {
			t.Errorf("the log has no %q\n%s", want, s.log)
		}
	}
}

// A piece may have the whole script run again before it goes on.
func TestLargeScriptCallsItself(t *testing.T) {
	pad := strings.Repeat(" ", 300)
	s := load(t, `
local main = debug.getinfo(1, "f").func
_G.runs = (_G.runs or 0) + 1
function nest(a) if _G.runs == 1 then main() end return a end
actions = {`+pad+`header.add("A", "1"), nest(header.add("B", "2")), header.add("C", "3"), respond "x" }
other = {`+pad+`"another piece" }
--`+strings.Repeat("x", 300<<10))
	w := s.answer("/")
	if got := w.Header().Get("A") + w.Header().Get("B") + w.Header().Get("C"); got != "123" {
		t.Errorf("got %q\n%s", got, s.log)
	}
}

func TestLargeScriptErrors(t *testing.T) {
	for script, want := range map[string]string{
		"\nactions = { PAD respond 'x',\n redirct '/y' }":               `site.lua:3: unknown action "redirct"; did you mean "redirect"?`,
		"\nactions = { PAD respond 'x',\n header.add('X') }":            `site.lua:3: header.add: value is missing`,
		"\nactions = { PAD respond 'x'\n respond 'y' }":                 `site.lua:3: syntax error near "respond"`,
		"\nactions = { PAD respond 'x', \n{ PAD respond 'x', } }\n x x": `site.lua:4: syntax error: parse error near "x"`,
		"\nactions = { PAD\n respond 'x', error('my own') }":            `site.lua:3: my own`,
		"\nactions = { PAD\n respond 'x', (nil).x }":                    `site.lua:3: attempt to index`,
		"\nlocal actions = { PAD\n respond 'x' }":                       `"actions" is a local variable: remove "local"`,
	} {
		_, err := runtime.Load(writeScript(t, largeScript(script)), testConfig(&logBuffer{}))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s\n got %v\nwant %s", script, err, want)
		}
	}
}

// hostsScript writes vhost.map with so many hosts and 20 rules each, as text.
func hostsScript(hosts int) string {
	var b strings.Builder
	b.WriteString("actions = vhost.map {\n")
	for h := range hosts {
		fmt.Fprintf(&b, "[\"h%d.test\"] = {\n", h)
		for r := range 20 {
			switch path := fmt.Sprintf("/h%d-%d/", h, r); r % 4 {
			case 0:
				fmt.Fprintf(&b, " when(request.path:prefix %q, { header.add(\"X-Rule\", \"%d\") }),\n", path, r)
			case 1:
				fmt.Fprintf(&b, " when(request.path:eq %q, { redirect \"/new\" }),\n", path)
			case 2:
				fmt.Fprintf(&b, " when(request.path:suffix \".x%d\", { expire \"access 1 week\" }),\n", r)
			case 3:
				fmt.Fprintf(&b, " when(request.path:match \"^/user%d/([a-z]+)$\", { rewrite \"/u.php?%%1\" }, { env.set(\"R\", \"%d\") }),\n", r, r)
			}
		}
		fmt.Fprintf(&b, " respond \"host %d\"\n},\n", h)
	}
	return b.String() + "default = respond(404) }"
}

// hostsLoop makes the same in a loop.
const hostsLoop = `
local hosts = { default = respond(404) }
for h = 0, %d - 1 do
  local l = {}
  for r = 0, 19 do
    local path = "/h" .. h .. "-" .. r .. "/"
    if r %% 4 == 0 then l[#l + 1] = when(request.path:prefix(path), { header.add("X-Rule", tostring(r)) })
    elseif r %% 4 == 1 then l[#l + 1] = when(request.path:eq(path), { redirect "/new" })
    elseif r %% 4 == 2 then l[#l + 1] = when(request.path:suffix(".x" .. r), { expire "access 1 week" })
    else l[#l + 1] = when(request.path:match("^/user" .. r .. "/([a-z]+)$"), { rewrite "/u.php?%%1" }, { env.set("R", tostring(r)) }) end
  end
  l[#l + 1] = respond("host " .. h)
  hosts["h" .. h .. ".test"] = l
end
actions = vhost.map(hosts)`

// As text and from a loop, many hosts are the same site.
func TestManyHosts(t *testing.T) {
	const hosts = 1000
	for _, script := range []string{hostsScript(hosts), fmt.Sprintf(hostsLoop, hosts)} {
		s := load(t, script)
		if got, want := body(s.Program, fmt.Sprintf("http://h%d.test/", hosts-1)), fmt.Sprintf("host %d", hosts-1); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
		reply := s.Handle(&fakeExchange{target: "http://h7.test/h7-16/x"})
		if rule, _ := reply.Header.Lookup("X-Rule"); rule != "16" {
			t.Errorf("rule %q, want 16", rule)
		}
		reply.Close()
	}
}

// However often a site is loaded again, what the programs before took comes back.
func TestReloadsGiveMemoryBack(t *testing.T) {
	file := writeScript(t, hostsScript(200)) // compiled in pieces
	inUse := func(p *runtime.Program) uint64 {
		if got := body(p, "http://h7.test/"); got != "host 7" {
			t.Fatalf("got %q", got)
		}
		var m goruntime.MemStats
		goruntime.GC()
		goruntime.GC() // pools are emptied by two
		goruntime.ReadMemStats(&m)
		goruntime.KeepAlive(p)
		return m.HeapAlloc
	}
	p := load(t, hostsScript(8)).Program
	empty := inUse(p)
	var first, last uint64
	for i := range 20 {
		next, err := runtime.Load(file, testConfig(&logBuffer{}))
		if err != nil {
			t.Fatal(err)
		}
		p.Close()
		if p, last = next, inUse(next); i == 0 {
			first = last
		}
	}
	p.Close()
	if grown, once := int64(last)-int64(first), int64(first)-int64(empty); once <= 0 || grown > once/2 {
		t.Errorf("one program takes %d KB; after 20 reloads there are %d KB more", once>>10, grown>>10)
	}
}

// BenchmarkLoadHosts loads 10,000 hosts with 20 rules each. heap-MB is what the program
// keeps; alloc-MB all that was allocated on the way.
func BenchmarkLoadHosts(b *testing.B) {
	for name, script := range map[string]string{"text": hostsScript(10000), "loop": fmt.Sprintf(hostsLoop, 10000)} {
		b.Run(name, func(b *testing.B) {
			file := writeScript(b, script)
			var before, after goruntime.MemStats
			for b.Loop() {
				goruntime.GC()
				goruntime.ReadMemStats(&before)
				p, err := runtime.Load(file, testConfig(&logBuffer{}))
				if err != nil {
					b.Fatal(err)
				}
				goruntime.ReadMemStats(&after)
				b.ReportMetric(float64(after.TotalAlloc-before.TotalAlloc)/(1<<20), "alloc-MB")
				goruntime.GC()
				goruntime.ReadMemStats(&after)
				b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/(1<<20), "heap-MB")
				p.Close()
			}
		})
	}
}

// A large chunk that handlers of several states call at once is compiled for each call.
func TestLargeChunkInSeveralStates(t *testing.T) {
	p := load(t, say+`
setup.lua.states(2)
local pad = (" "):rep(300)
local chunk = assert(loadstring("local a = ... local t = {" .. pad .. "n = a, { 'x', a } } return t.n .. t[1][2]\n--" .. ("x"):rep(300 * 1024)))
actions = function(vr) say(vr, chunk(vr.req.uri.query)) end`).Program
	var clients sync.WaitGroup
	for i := range 4 {
		clients.Go(func() {
			for range 10 {
				if got, want := body(p, fmt.Sprintf("http://a.test/?%d", i)), fmt.Sprintf("%d%[1]d", i); got != want {
					t.Errorf("got %q, want %q", got, want)
				}
			}
		})
	}
	clients.Wait()
}
