package lint

import (
	"fmt"
	"regexp/syntax"
	"strings"

	"luaserve/runtime"
	"luaserve/runtime/luatext"
)

// Tables: entries that are never found, and prefixes that hide others.

var (
	ruleHiddenAlias = &Rule{Code: "L030", Name: "hidden-alias", Severity: Warning,
		Summary: "A prefix of an alias is never reached, because an earlier one takes its URLs.",
		Why:     `Of the prefixes of an alias the first that matches is taken, and "/a" takes "/a/b" as well. Put the longer one first. A slash at the end makes no difference: "/a/" and "/a" are the same.`,
		Silent:  "The prefixes stand in different alias actions: there the last one counts.",
		Wrong:   `actions = { docroot "/", alias { { "/a", "/" }, { "/a/b", "/" } }, static(), mime_types "default" }`,
		Right:   `actions = { docroot "/", alias { { "/a/b", "/" }, { "/a", "/" } }, static(), mime_types "default" }`}
	ruleAliasSlash = &Rule{Code: "L031", Name: "alias-slash", Severity: Info,
		Summary: "A prefix of an alias and its target do not agree about the slash at the end.",
		Why: "luaserve only takes whole path segments, so that no file outside of the target can be reached, as it can elsewhere. " +
			`But what is behind the prefix begins with a slash: with the target "/data/" the path of the file has two of them, which conditions on physical.path and applications see.`,
		Silent: "The target is made from a pattern.",
		Wrong:  `actions = { docroot "/", alias { ["/icons"] = "/" .. "usr/" }, static(), mime_types "default" }`,
		Right:  `actions = { docroot "/", alias { ["/icons"] = "/usr" }, static(), mime_types "default" }`}
	ruleHost = &Rule{Code: "L032", Name: "host-never-matches", Severity: Warning,
		Summary: "A host of vhost.map is one that no request has.",
		Why:     "Entries of vhost.map are compared with the host as a whole. It has no port, no dot at the end, no wildcard; vhost.map_regex takes expressions.",
		Silent:  "Names that nobody uses are not known.",
		Wrong:   `actions = vhost.map { ["*.example.net"] = respond "a", default = respond(404) }`,
		Right:   `actions = vhost.map_regex { { "\\.example\\.net$", respond "a" }, { "default", respond(404) } }`}
	ruleHostRegex = &Rule{Code: "L033", Name: "hidden-host", Severity: Warning,
		Summary: "An expression of vhost.map_regex is never reached.",
		Why:     `The first expression that matches the host is taken. One that matches every host, or is there twice, hides those behind it; "default" is for all other hosts, wherever it stands.`,
		Silent:  "The one does not follow from the other by their text.",
		Wrong:   `actions = vhost.map_regex { { "example", respond "a" }, { "www\\.example", respond "b" } }`,
		Right:   `actions = vhost.map_regex { { "www\\.example", respond "b" }, { "example", respond "a" } }`}
	ruleMapKey = &Rule{Code: "L034", Name: "map-key-twice", Severity: Warning,
		Summary: "A key of a map is there twice; the last one counts.",
		Why:     "map and map_cidr have one action for each key. Of two the first is never run.",
		Silent:  "It is the same action.",
		Wrong:   `actions = map("%{req.query}", { { { "a", "b" }, respond "1" }, { "a", respond "2" } })`,
		Right:   `actions = map("%{req.query}", { { "b", respond "1" }, { "a", respond "2" } })`}
	ruleIgnoredKey = &Rule{Code: "L035", Name: "ignored-key", Severity: Warning,
		Summary: "A table has a key that is neither a string nor a number; the entry is ignored.",
		Why:     `In { [{ "a", "b" }] = x } the key is a table, which configuration tables cannot have. A list of pairs says the same: { { { "a", "b" }, x } }.`,
		Silent:  "The table is not used for the configuration.",
		Wrong:   `actions = map("%{req.query}", { [{ "a", "b" }] = respond "1", c = respond "2" })`,
		Right:   `actions = map("%{req.query}", { { { "a", "b" }, respond "1" }, { "c", respond "2" } })`}
	ruleMountSlash = &Rule{Code: "L036", Name: "mount-slash", Severity: Warning,
		Summary: "A prefix of core.wsgi ends with a slash, so that the URL without it is not the application's.",
		Why:     `core.wsgi("/trac/", …) takes "/trac/wiki" and not "/trac"; who types that address gets a 404. "/trac" takes both, and "/tracker" is still another.`,
		Silent:  `A condition or a rule of the script mentions the address without the slash.`,
		Wrong: `lua.plugin "core.lua"
actions = { core.wsgi("/trac/", { respond "trac" }), respond(404) }`,
		Right: `lua.plugin "core.lua"
actions = { core.wsgi("/trac", { respond "trac" }), respond(404) }`}

	mapRules = []*Rule{ruleHiddenAlias, ruleAliasSlash, ruleHost, ruleHostRegex, ruleMapKey, ruleIgnoredKey, ruleMountSlash}
)

// checkTable checks the arguments of one action; each is met once.
func (w *walk) checkTable(t runtime.Tree) {
	args := t.Args()
	if len(args) == 0 {
		return
	}
	pairs, _ := args[len(args)-1].Value.Pairs()
	switch t.Node.Name {
	case "alias":
		w.checkAlias(t.Node, pairs)
	case "vhost.map":
		for _, p := range pairs {
			w.checkHost(t.Node, p)
		}
	case "vhost.map_regex":
		w.checkHostRegexes(t.Node, pairs)
	case "map", "map_cidr":
		w.checkKeys(t.Node, pairs)
	case "core.wsgi":
		w.checkMount(t.Node, args)
	}
}

func (w *walk) checkAlias(n *runtime.Node, pairs []runtime.Pair) {
	var before []string
	for _, p := range pairs {
		prefix, _ := p.Key.Str()
		target, _ := p.Value.Str()
		line := w.c.lineOfText(n, prefix)
		short := strings.TrimRight(prefix, "/")
		for _, b := range before {
			if wide := strings.TrimRight(b, "/"); short == wide || strings.HasPrefix(short, wide+"/") {
				w.c.report(ruleHiddenAlias, line, prefix, 0, "put the longer prefix first", "%q is never reached: %q stands before it and takes its URLs", prefix, b)
				break
			}
		}
		before = append(before, prefix)
		if len(target) > 1 && strings.HasSuffix(target, "/") && !strings.ContainsAny(target, "$%") {
			f := w.c.report(ruleAliasSlash, w.c.lineOfText(n, target), target, 0, "leave the slash of the target out", "the target %q ends with a slash: paths of files below %q have two", target, prefix)
			w.c.replaceString(f, target, strings.TrimRight(target, "/"))
		}
	}
}

// lineOfText finds the line of a text that belongs to an action: tables often span several.
func (c *checker) lineOfText(n *runtime.Node, text string) runtime.Pos {
	s := c.files[n.Pos.File]
	if s == nil {
		return n.Pos
	}
	const far = 200
	for line := n.Pos.Line; line < n.Pos.Line+far; line++ {
		if len(s.text.Find(line, text)) > 0 {
			return runtime.Pos{File: n.Pos.File, Line: line}
		}
	}
	return n.Pos
}

// replaceString is the fix that writes another string at the place of a finding.
func (c *checker) replaceString(f *Finding, old, text string) {
	s := c.files[f.Pos.File]
	if s == nil || f.Column == 0 {
		return
	}
	for _, tok := range s.text.Find(f.Pos.Line, old) {
		if tok.Column == f.Column && tok.Kind == luatext.String {
			quote := tok.Text[:1]
			f.Fix = &Fix{"write " + quote + text + quote, []Edit{{tok.Offset, tok.End(), quote + text + quote}}}
		}
	}
}

func (w *walk) checkHost(n *runtime.Node, p runtime.Pair) {
	host, _ := p.Key.Str()
	why := ""
	switch {
	case host == "default":
		return
	case strings.ContainsAny(host, "*?$^\\"):
		why = "it is compared as a whole, not as a pattern; vhost.map_regex takes expressions"
	case strings.Contains(host, ":") && !strings.HasPrefix(host, "["), strings.Contains(host, "]:"):
		why = "the host of a request has no port"
	case strings.HasSuffix(host, "."):
		why = "the host of a request has no dot at its end"
	case strings.ContainsAny(host, "/ "):
		why = "a host name has no such character"
	default:
		return
	}
	w.c.report(ruleHost, w.c.lineOfText(n, host), host, 0, "", "no request has the host %q: %s", host, why)
}

func (w *walk) checkHostRegexes(n *runtime.Node, pairs []runtime.Pair) {
	var before []string
	for _, p := range pairs {
		expr, _ := p.Key.Str()
		if expr == "default" {
			continue
		}
		for _, b := range before {
			if includes(b, expr) {
				w.c.report(ruleHostRegex, w.c.lineOfText(n, expr), expr, 0, "put the narrower expression first", "%q is never reached: %q stands before it and matches those hosts", expr, b)
				break
			}
		}
		before = append(before, expr)
	}
}

// includes reports whether an expression matches everything that another one does; only what
// can be read from them is known.
func includes(wide, narrow string) bool {
	if wide == narrow {
		return true
	}
	w, begin, end, ok := literal(wide)
	if !ok {
		return false
	}
	n, nBegin, nEnd, nOk := literal(narrow)
	switch {
	case w == "" && !(begin && end):
		return true
	case !nOk || begin && !nBegin || end && !nEnd:
		return false
	case begin && end:
		return n == w
	case begin:
		return strings.HasPrefix(n, w)
	case end:
		return strings.HasSuffix(n, w)
	}
	return strings.Contains(n, w)
}

// literal reads an expression that is a text, at the beginning or the end of the subject or not.
func literal(expr string) (text string, begin, end, ok bool) {
	re, err := syntax.Parse(expr, syntax.Perl)
	if err != nil {
		return "", false, false, false
	}
	parts := []*syntax.Regexp{re}
	if re.Op == syntax.OpConcat {
		parts = re.Sub
	}
	for i, p := range parts {
		switch {
		case p.Op == syntax.OpBeginText && i == 0:
			begin = true
		case p.Op == syntax.OpEndText && i == len(parts)-1:
			end = true
		case p.Op == syntax.OpLiteral && p.Flags&syntax.FoldCase == 0:
			text += string(p.Rune)
		case p.Op == syntax.OpEmptyMatch:
		case p.Op == syntax.OpStar && p.Sub[0].Op == syntax.OpAnyCharNotNL && len(parts) == 1:
		default:
			return "", false, false, false
		}
	}
	return text, begin, end, true
}

func (w *walk) checkKeys(n *runtime.Node, pairs []runtime.Pair) {
	seen := map[string]*runtime.Node{}
	for _, p := range pairs {
		keys, _ := p.Key.Strings()
		act, _ := p.Value.Action()
		for _, k := range keys {
			name := k
			if n.Name == "map_cidr" {
				if network, err := runtime.ParseNetwork(k); err == nil {
					name = network.String()
				}
			}
			if old, twice := seen[name]; twice && old != act {
				w.c.report(ruleMapKey, w.c.lineOfText(n, k), k, 1, "", "the key %q is there twice: only the last one counts", k)
			}
			seen[name] = act
		}
	}
}

func (w *walk) checkMount(n *runtime.Node, args []runtime.Argument) {
	prefix, ok := args[0].Value.Str()
	short := strings.TrimRight(prefix, "/")
	if !ok || short == "" || short == prefix {
		return
	}
	for _, s := range w.c.order {
		for tok := range s.text.Tokens() {
			if text, ok := luatext.Unquote(tok.Text); ok && tok.Kind == luatext.String && (text == short || strings.Contains(text, short+"$")) {
				return
			}
		}
	}
	f := w.c.report(ruleMountSlash, w.c.lineOfText(n, prefix), prefix, 0, fmt.Sprintf("write %q, which takes both", short), "%q itself is not the application's: only what is below it", short)
	w.c.replaceString(f, prefix, short)
}
