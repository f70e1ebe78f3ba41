package bindings

import (
	"fmt"
	"strings"

	"luaserve/runtime"
)

func rewriteModule() *runtime.Module {
	params := []runtime.Param{{Name: "rules", Type: runtime.TAny, Doc: "a target, a pair of a regular expression and a target, or a list of pairs"}}
	return &runtime.Module{
		Name:    "rewrite",
		Doc:     "Changes the address of the request before later actions look at it.",
		Options: []runtime.Option{debugOption("rewrite.debug", "what addresses became, and by which rule")},
		Actions: []runtime.ActionDef{
			{Name: "rewrite", Params: params, New: newRewrite,
				Doc:     `Rewrites the decoded path. Behind a "?" the target sets the query too; without one the query stays. The first rule that matches is taken; $1 is its first group.`,
				Example: `actions = { rewrite("^/user/([a-z]+)$", "/user.php?name=$1"), respond "%{req.path}" }`},
			{Name: "rewrite_raw", Params: params, New: newRewriteRaw,
				Doc:     "Rewrites path and query as the client sent them; the result is decoded again.",
				Example: `actions = { rewrite_raw("^/([^?]*)", "/app/$1"), respond "%{req.path}" }`},
		},
	}
}

func newRewrite(b *runtime.Builder, args runtime.Args) (runtime.Action, error) {
	var queries []*runtime.Pattern
	rules, err := parseRules(b, args.Value(0), func(text string) (*runtime.Pattern, error) {
		path, query, split := cutUnescaped(text, '?')
		var q *runtime.Pattern
		if split {
			var err error
			if q, err = runtime.ParsePattern(query); err != nil {
				return nil, err
			}
		}
		queries = append(queries, q)
		return runtime.ParsePattern(path)
	})
	if err != nil {
		return nil, err
	}
	if err := checkRules(rules.rules); err != nil {
		return nil, err
	}
	debug := b.Option("rewrite.debug")
	return runtime.ActionFunc(func(vr *runtime.VRequest) error {
		i, captures := rules.match(vr.Request.URI.Path)
		if i < 0 {
			return nil
		}
		r := &rules.rules[i]
		path := r.target.Eval(vr, captures)
		var query *string
		if queries[i] != nil {
			q := queries[i].Eval(vr, captures)
			query = &q
		}
		from := vr.Request.URI.Path
		vr.Request.URI.SetPath(path, query)
		if vr.Option(debug).(bool) {
			vr.Log().Info("rewrite", "path", from, "rule", r.String(), "to", vr.Request.URI.Path, "query", vr.Request.URI.Query)
		}
		return nil
	}), nil
}

func newRewriteRaw(b *runtime.Builder, args runtime.Args) (runtime.Action, error) {
	rules, err := parseRules(b, args.Value(0), runtime.ParsePattern)
	if err != nil {
		return nil, err
	}
	if err := checkRules(rules.rules); err != nil {
		return nil, err
	}
	debug := b.Option("rewrite.debug")
	return runtime.ActionFunc(func(vr *runtime.VRequest) error {
		if i, captures := rules.match(vr.Request.URI.RawPath); i >= 0 {
			r := &rules.rules[i]
			from := vr.Request.URI.RawPath
			vr.Request.URI.SetRawPath(r.target.Eval(vr, captures))
			if vr.Option(debug).(bool) {
				vr.Log().Info("rewrite_raw", "path", from, "rule", r.String(), "to", vr.Request.URI.RawPath)
			}
		}
		return nil
	}), nil
}

// checkRules refuses a rule behind one that always matches: it could never be reached.
func checkRules(rules []rule) error {
	for i := range rules[:len(rules)-1] {
		if rules[i].regex == nil {
			return fmt.Errorf("rule %d always matches; the rules behind it are never reached", i+1)
		}
	}
	return nil
}

// cutUnescaped cuts s at the first sep that no backslash stands before and that is not
// inside of %{…}.
func cutUnescaped(s string, sep byte) (before, after string, found bool) {
	depth := 0
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '\\':
			i++
		case c == '%' && strings.HasPrefix(s[i:], "%{"):
			depth++
		case c == '}' && depth > 0:
			depth--
		case c == sep && depth == 0:
			return s[:i], s[i+1:], true
		}
	}
	return s, "", false
}
