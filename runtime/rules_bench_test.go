package runtime_test

import (
	"fmt"
	"io"
	"net/netip"
	"strings"
	"testing"

	"luaserve/runtime"
)

// ruleShapes are the rules that BenchmarkRules measures: how the i-th one is written, and a
// request that it matches.
var ruleShapes = []struct {
	name string
	rule func(i int) string // %d is i
	ask  func(i int) *fakeExchange
}{
	{"prefix", func(int) string { return `request.path:prefix "/app%05d/"` }, askFor("/app%05d/index.html")},
	{"equal", func(int) string { return `request.path:eq "/app%05d/index.html"` }, askFor("/app%05d/index.html")},
	{"suffix", func(int) string { return `request.path:suffix ".x%05d"` }, askFor("/app/index.x%05d")},
	{"regex", func(int) string { return `request.path:match "^/[a-z]+/(.*)-%05d\\.html$"` }, askFor("/app/index-%05d.html")},
	{"mixed", func(i int) string {
		return []string{
			`request.path:prefix "/app%05d/"`,
			`request.path:eq "/app%05d"`,
			`request.path:suffix "/x%05d.html"`,
			`request.path:match "user%05d/([a-z]+)"`,
			`all { request.path:notprefix "/static/", any { request.host:eq "h%05d.test", request.path:prefix "/p%05d/" } }`,
		}[i%5]
	}, func(i int) *fakeExchange { return askFor("/p%05d/index.html")(i/5*5 + 4) }},
	{"host", func(int) string { return `request.host:eq "h%05d.test"` }, func(i int) *fakeExchange {
		return &fakeExchange{target: "/", host: fmt.Sprintf("h%05d.test", i)}
	}},
	{"header", func(int) string { return `request.header["X-App"]:eq "app%05d"` }, func(i int) *fakeExchange {
		return &fakeExchange{target: "/", fields: []runtime.Field{{Name: "X-App", Value: fmt.Sprintf("app%05d", i)}}}
	}},
	{"network", func(i int) string { return fmt.Sprintf(`request.remoteip:ip "10.%d.%d.0/24"`, i/256, i%256) }, func(i int) *fakeExchange {
		return &fakeExchange{target: "/", remote: netip.AddrFrom4([4]byte{10, byte(i / 256), byte(i), 7})}
	}},
	{"any", func(int) string {
		return `any { request.host:eq "h%05d.test", request.host:eq "www.h%05d.test", request.host:suffix ".h%05d.test" }`
	}, func(i int) *fakeExchange { return &fakeExchange{target: "/", host: fmt.Sprintf("a.h%05d.test", i)} }},
}

func askFor(target string) func(i int) *fakeExchange {
	return func(i int) *fakeExchange { return &fakeExchange{target: fmt.Sprintf(target, i)} }
}

// rulesScript writes n rules, as a list or as a chain of else, with an answer behind them.
func rulesScript(n int, rule func(i int) string, chain bool) string {
	number := func(i int) string { return strings.ReplaceAll(rule(i), "%05d", fmt.Sprintf("%05d", i)) }
	var b strings.Builder
	if !chain {
		b.WriteString("actions = {\n")
		for i := range n {
			fmt.Fprintf(&b, "when(%s, { header.add('X-Rule', '%d') }),\n", number(i), i)
		}
		return b.String() + "respond 'ok' }"
	}
	b.WriteString("local chain = respond 'ok'\n")
	for i := n - 1; i >= 0; i-- {
		fmt.Fprintf(&b, "chain = when(%s, { header.add('X-Rule', '%d'), respond 'ok' }, chain)\n", number(i), i)
	}
	return b.String() + "actions = chain"
}

func BenchmarkRules(b *testing.B) {
	for _, shape := range ruleShapes {
		for _, n := range []int{10, 1000, 10000} {
			benchRules(b, shape.name, rulesScript(n, shape.rule, false), n, shape.ask)
		}
	}
	for _, n := range []int{10, 1000, 10000} {
		benchRules(b, "else", rulesScript(n, ruleShapes[0].rule, true), n, ruleShapes[0].ask)
	}
}

// BenchmarkMaps measures actions and conditions that have many entries of their own: %s are
// those that entry makes of their numbers, one after another.
func BenchmarkMaps(b *testing.B) {
	host := func(i int) *fakeExchange { return &fakeExchange{target: "/", host: fmt.Sprintf("h%d.test", i)} }
	for _, m := range []struct {
		name, entry, script string
		ask                 func(i int) *fakeExchange
	}{
		{"vhost.map", `["h%d.test"] = { header.add("X-Rule", "%[1]d"), ok }`, `vhost.map { %s, default = ok }`, host},
		{"vhost.map_regex", `{ "^(www\\.)?h%d\\.test$", { header.add("X-Rule", "%[1]d"), ok } }`, `vhost.map_regex { %s, { "default", ok } }`, host},
		{"any", `request.host:eq "h%d.test"`, `{ when(any { %s }, { header.add("X-Rule", "%%{req.host}") }), ok }`, host},
		{"rewrite", `{ "^/a%d/(.*)$", "/new%[1]d/$1" }`, `{ rewrite { %s }, header.add("X-Rule", "%%{req.path}"), ok }`, askFor("/a%d/x")},
		{"alias", `["/a%d/"] = "/srv/new%[1]d"`, `{ alias { %s }, header.add("X-Rule", "%%{phys.path}"), ok }`, askFor("/a%d/x")},
		{"map_cidr", `["10.%[2]d.%[3]d.0/24"] = header.add("X-Rule", "%[1]d")`, `{ map_cidr { %s }, ok }`, func(i int) *fakeExchange {
			return &fakeExchange{target: "/", remote: netip.AddrFrom4([4]byte{10, byte(i / 256), byte(i), 7})}
		}},
		{"access.check", `"10.%[2]d.%[3]d.0/24"`, `{ access.check { allow = { "all" }, deny = { %s } }, header.add("X-Rule", "%%{resp.status}"), ok }`, func(i int) *fakeExchange {
			return &fakeExchange{target: "/", remote: netip.AddrFrom4([4]byte{10, byte(i / 256), byte(i), 7})}
		}},
	} {
		for _, n := range []int{10, 1000, 10000} {
			entries := make([]string, n)
			for i := range entries {
				entries[i] = strings.Split(fmt.Sprintf(m.entry+"\x00%[1]d%[2]d%[3]d", i, i/256, i%256), "\x00")[0]
			}
			script := "local ok = respond 'ok'\nactions = " + fmt.Sprintf(m.script, strings.Join(entries, ",\n"))
			p := loadBench(b, script)
			if answerOf(p, m.ask(n-1)) == answerOf(p, m.ask(n)) {
				b.Fatalf("%s: the last entry makes no difference", m.name)
			}
			b.Run(fmt.Sprintf("%s/%d", m.name, n), func(b *testing.B) { benchAsk(b, p, m.ask(n-1)) })
		}
	}
}

// benchRules measures a request that the last rule matches, and one that none does.
func benchRules(b *testing.B, name, script string, n int, ask func(i int) *fakeExchange) {
	p := loadBench(b, script)
	for _, is := range []struct {
		name string
		ex   *fakeExchange
	}{{"last", ask(n - 1)}, {"none", ask(n)}} {
		reply := p.Handle(is.ex)
		if _, matched := reply.Header.Lookup("X-Rule"); reply.Status != 200 || matched != (is.name == "last") {
			b.Fatalf("%s %s: status %d, a rule matched: %v", name, is.name, reply.Status, matched)
		}
		reply.Close()
		b.Run(fmt.Sprintf("%s/%d/%s", name, n, is.name), func(b *testing.B) { benchAsk(b, p, is.ex) })
	}
}

func loadBench(b *testing.B, script string) *runtime.Program {
	p, err := runtime.Load(writeScript(b, script), testConfig(&logBuffer{}))
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { p.Close() })
	return p
}

// benchAsk also reports processor time, which a busy machine does not stretch.
func benchAsk(b *testing.B, p *runtime.Program, ex *fakeExchange) {
	b.ReportAllocs()
	before := processorTime()
	defer func() { b.ReportMetric(float64(processorTime()-before)/float64(b.N), "cpu-ns/op") }()
	for b.Loop() {
		reply := p.Handle(ex)
		if err := reply.WriteBody(io.Discard, nil); err != nil {
			b.Fatal(err)
		}
		reply.Close()
	}
}
