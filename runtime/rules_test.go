package runtime_test

import (
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/fstest"

	"pgregory.net/rapid"

	"luaserve/runtime"
)

// With an index a pipeline must answer what it answers when the conditions are tested one
// by one: the same head, body and log, byte for byte.
func TestRulesAsOneByOne(t *testing.T) { rapid.Check(t, compareWithOneByOne) }

func FuzzRulesAsOneByOne(f *testing.F) { f.Fuzz(rapid.MakeFuzz(compareWithOneByOne)) }

func compareWithOneByOne(t *rapid.T) {
	script := "actions = " + genActions(t, 3)
	indexed, indexedLog := loadQuietly(t, script, runtime.Load)
	plain, plainLog := loadQuietly(t, script, runtime.LoadOneByOne)
	defer indexed.Close()
	defer plain.Close()
	for range 8 {
		ex := genRequest(t)
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
func answerOf(p *runtime.Program, ex *fakeExchange) string {
	reply := p.Handle(ex)
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

// genRequest draws a request from the same few texts as the conditions.
func genRequest(t *rapid.T) *fakeExchange {
	ex := &fakeExchange{target: genPath(t), host: rapid.SampledFrom([]string{"a.test", "b.test", "www.a.test"}).Draw(t, "host")}
	if rapid.Bool().Draw(t, "query") {
		ex.target += "?" + genText(t)
	}
	for range rapid.IntRange(0, 2).Draw(t, "fields") {
		ex.fields = append(ex.fields, runtime.Field{Name: "X-A", Value: genText(t)})
	}
	return ex
}

func genPath(t *rapid.T) string {
	return "/" + strings.Join(rapid.SliceOfN(rapid.Custom(genText), 0, 3).Draw(t, "path"), "/")
}

func genText(t *rapid.T) string {
	return rapid.SampledFrom([]string{"a", "b", "ab", "AB", "aba", "x.php", "x.PHP", "%c3%a4", "0a", "aaaaaaaaaaaaaaaaaab"}).Draw(t, "text")
}

// genActions draws a list of actions, or a chain of else.
func genActions(t *rapid.T, depth int) string {
	if depth < 3 && rapid.Bool().Draw(t, "one") {
		return genAction(t, 0)
	}
	n := rapid.IntRange(1, 24).Draw(t, "rules")
	if rapid.IntRange(0, 3).Draw(t, "chain") == 0 {
		chain := genAction(t, 0)
		for range n {
			chain = fmt.Sprintf("when(%s,\n {%s},\n %s)", genCondition(t, 2), genAction(t, depth-1), chain)
		}
		return chain
	}
	var b strings.Builder
	b.WriteString("{")
	for range n {
		b.WriteString("\n " + genRule(t, depth-1) + ",")
	}
	return b.String() + "}"
}

func genRule(t *rapid.T, depth int) string {
	switch rapid.IntRange(0, 9).Draw(t, "rule") {
	case 0:
		return genAction(t, depth)
	case 1:
		return fmt.Sprintf("when(%s, nil, %s)", genCondition(t, 2), genAction(t, depth))
	case 2:
		return fmt.Sprintf("when(%s, %s, when(%s, %s))", genCondition(t, 2), genAction(t, depth), genCondition(t, 2), genAction(t, depth))
	case 3:
		return fmt.Sprintf("{when(%s, %s), when(%s, %s)}", genCondition(t, 2), genAction(t, depth), genCondition(t, 2), genAction(t, depth))
	case 4:
		return fmt.Sprintf("when(%s, %s, %s)", genCondition(t, 2), genAction(t, depth), genAction(t, depth))
	}
	return fmt.Sprintf("when(%s, %s)", genCondition(t, 2), genAction(t, depth))
}

// genAction draws an action that leaves a trace, changes what conditions test, or fails.
func genAction(t *rapid.T, depth int) string {
	switch rapid.IntRange(0, 12).Draw(t, "action") {
	case 0:
		return fmt.Sprintf(`rewrite %q`, genPattern(t))
	case 1:
		return fmt.Sprintf(`rewrite("a(.*)", %q)`, genPattern(t))
	case 2:
		return fmt.Sprintf(`req_header.overwrite("X-A", %q)`, genPattern(t))
	case 3:
		return fmt.Sprintf(`env.set("E", %q)`, genPattern(t))
	case 4:
		return fmt.Sprintf(`header.overwrite("X-R", %q)`, genPattern(t))
	case 5:
		return fmt.Sprintf(`respond(%q)`, genPattern(t))
	case 6:
		return fmt.Sprintf(`docroot(%q)`, genPattern(t))
	case 7:
		if depth > 0 {
			return genActions(t, depth)
		}
	case 8:
		return "{}"
	}
	return fmt.Sprintf(`header.add("X-T", %q)`, genPattern(t))
}

// genPattern draws a pattern that shows captures and variables.
func genPattern(t *rapid.T) string {
	return rapid.SampledFrom([]string{"/a", "/b", "/ab/%1", "/%0/$1", "/%[0-2]a", "/%{req.path}", "/%{req.query}", "/x.php", "%{req.header[X-A]}"}).Draw(t, "pattern")
}

func genCondition(t *rapid.T, depth int) string {
	if depth > 0 && rapid.IntRange(0, 3).Draw(t, "combination") == 0 {
		op := rapid.SampledFrom([]string{"all", "any", "none"}).Draw(t, "op")
		n := rapid.IntRange(1, 3).Draw(t, "parts")
		parts := make([]string, n)
		for i := range parts {
			parts[i] = genCondition(t, depth-1)
		}
		return op + "{" + strings.Join(parts, ", ") + "}"
	}
	switch rapid.IntRange(0, 24).Draw(t, "variable") {
	case 0:
		return "request.is_handled"
	case 1:
		return `response.status:ne "404"`
	case 2:
		return `request.length:eq "0"`
	}
	variable := rapid.SampledFrom([]string{
		"request.path", "request.path", "request.path", "request.query", `request.header["X-A"]`, `request.header["x-a"]`,
		`request.env["E"]`, "physical.path", "request.host", "request.raw_path", `response.header["X-R"]`,
	}).Draw(t, "variable")
	op := rapid.SampledFrom([]string{"eq", "ne", "prefix", "notprefix", "suffix", "notsuffix", "match", "nomatch", "match", "prefix", "suffix", "eq"}).Draw(t, "op")
	if op == "match" || op == "nomatch" {
		return fmt.Sprintf("%s:%s %q", variable, op, genRegex(t))
	}
	text := genText(t)
	switch op {
	case "eq", "ne", "prefix", "notprefix":
		text = "/" + text
	}
	return fmt.Sprintf("%s:%s %q", variable, op, strings.ReplaceAll(text, "%c3%a4", "\xc3\xa4"))
}

// genRegex draws an expression of pieces that say something about the subject, and of such
// that do not.
func genRegex(t *rapid.T) string {
	pieces := []string{
		"a", "b", "ab", "x", "/", `\.php`, "(a|ab)", "(ab|x.*)", "[ab]", "[^a]", ".*", ".", "a+", "(ab)?", "(?:ab){2}", "(?i:AB)", "(?i)x",
		"(^|/)a", "a($|/)", `\w+`, `\b`, "^", "$", "ä", `\xc3`, "(^/a.*|b)", "()",
	}
	expr := strings.Join(rapid.SliceOfN(rapid.SampledFrom(pieces), 0, 5).Draw(t, "regex"), "")
	if rapid.Bool().Draw(t, "begin") {
		expr = "^/?" + expr
	}
	if rapid.Bool().Draw(t, "end") {
		expr += "$"
	}
	return expr
}
