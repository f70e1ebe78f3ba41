package runtime_test

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"testing"

	"luaserve/runtime"
)

// ruleShapes are the rules that BenchmarkRules measures: how the i-th one is written, and a
// target that it matches.
var ruleShapes = []struct {
	name   string
	rule   func(i int) string // %d is i
	target string
}{
	{"prefix", func(int) string { return `request.path:prefix "/app%05d/"` }, "/app%05d/index.html"},
	{"equal", func(int) string { return `request.path:eq "/app%05d/index.html"` }, "/app%05d/index.html"},
	{"suffix", func(int) string { return `request.path:suffix ".x%05d"` }, "/app/index.x%05d"},
	{"regex", func(int) string { return `request.path:match "^/[a-z]+/(.*)-%05d\\.html$"` }, "/app/index-%05d.html"},
	{"mixed", func(i int) string {
		return []string{
			`request.path:prefix "/app%05d/"`,
			`request.path:eq "/app%05d"`,
			`request.path:suffix "/x%05d.html"`,
			`request.path:match "user%05d/([a-z]+)"`,
			`all { request.path:notprefix "/static/", any { request.host:eq "h%05d.test", request.path:prefix "/p%05d/" } }`,
		}[i%5]
	}, "/p%05d/index.html"},
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
			benchRules(b, shape.name, rulesScript(n, shape.rule, false), n, shape.target)
		}
	}
	for _, n := range []int{10, 1000, 10000} {
		benchRules(b, "else", rulesScript(n, ruleShapes[0].rule, true), n, ruleShapes[0].target)
	}
	for _, n := range []int{10, 1000, 10000} {
		script := fmt.Sprintf(`local hosts = { default = respond 'ok' }
for i = 0, %d do hosts["h" .. i .. ".test"] = { header.add("X-Rule", tostring(i)), respond "ok" } end
actions = vhost.map(hosts)`, n-1)
		benchRules(b, "vhost", script, n, "http://h%d.test/")
	}
}

// benchRules measures a request that the last rule matches, and one that none does.
func benchRules(b *testing.B, name, script string, n int, target string) {
	p, err := runtime.Load(writeScript(b, script), testConfig(&logBuffer{}))
	if err != nil {
		b.Fatal(err)
	}
	defer p.Close()
	last := fmt.Sprintf(target, n-1)
	for _, is := range []struct{ name, target, rule string }{
		{"last", last, strconv.Itoa(n - 1)},
		{"none", strings.Replace(last, fmt.Sprint(n-1), strings.Repeat("x", len(fmt.Sprint(n-1))), 1), ""},
	} {
		b.Run(fmt.Sprintf("%s/%d/%s", name, n, is.name), func(b *testing.B) {
			ex := &fakeExchange{target: is.target}
			b.ReportAllocs()
			for b.Loop() {
				reply := p.Handle(ex)
				if rule, _ := reply.Header.Lookup("X-Rule"); reply.Status != 200 || rule != is.rule {
					b.Fatalf("%s: status %d, rule %q, want %q", is.target, reply.Status, rule, is.rule)
				}
				if err := reply.WriteBody(io.Discard, nil); err != nil {
					b.Fatal(err)
				}
				reply.Close()
			}
		})
	}
}
