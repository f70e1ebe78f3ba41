package bindings

import (
	"errors"
	"fmt"
	"net/http"
	"strings"

	"luaserve/runtime"
)

func redirectModule() *runtime.Module {
	return &runtime.Module{
		Name:      "redirect",
		Doc:       "Sends the client to another address.",
		Untrusted: []string{"redirect"},
		Actions: []runtime.ActionDef{{
			Name: "redirect", New: newRedirect,
			Doc: `Answers with 301. A target is an absolute URL, or begins with "/" (same host), "./" (same directory) or "?" (same path). ` +
				`With pairs of a regular expression and a target the first that matches the path is taken; $1 is its first group.`,
			Example: `actions = redirect { { "^/old/(.*)$", "/new/$1" }, { "^/blog", "https://blog.example.net/" } }`,
			Params:  []runtime.Param{{Name: "rules", Type: runtime.TAny, Doc: "a target, a pair, or a list of pairs"}},
		}},
		Options: []runtime.Option{debugOption("redirect.debug", "where clients were sent, and by which rule")},
	}
}

// debugOption is the option of a module that has the log tell what its actions did.
func debugOption(name, what string) runtime.Option {
	return runtime.Option{Name: name, Type: runtime.TBool, Default: false,
		Doc: "Whether the log tells " + what + ".", Example: "setup." + name + "(true)"}
}

// rule is one regular expression with the pattern of what a match becomes; an empty
// expression matches always.
type rule struct {
	regex  *runtime.Regex
	target *runtime.Pattern
}

// String is how the log names the rule: its expression, or its target when it has none.
func (r *rule) String() string {
	if r.regex == nil {
		return r.target.String()
	}
	return r.regex.String()
}

// ruleSet is a list of rules of which the first that matches counts.
type ruleSet struct {
	rules []rule
	set   *runtime.RegexSet
}

// parseRules reads the rules of redirect and rewrite: a target, a pair, a list of pairs.
func parseRules(b *runtime.Builder, v runtime.Value, parse func(string) (*runtime.Pattern, error)) (ruleSet, error) {
	rules, err := parsePairs(b, v, parse)
	regexes := make([]*runtime.Regex, len(rules))
	for i, r := range rules {
		regexes[i] = r.regex
	}
	return ruleSet{rules, b.RegexSet(regexes)}, err
}

func parsePairs(b *runtime.Builder, v runtime.Value, parse func(string) (*runtime.Pattern, error)) ([]rule, error) {
	if text, ok := v.Str(); ok {
		p, err := parse(text)
		return []rule{{target: p}}, err
	}
	pairs, ok := v.Pairs()
	if !ok || len(pairs) == 0 {
		return nil, errors.New("expected a string, a pair of strings or a list of pairs of strings")
	}
	rules := make([]rule, len(pairs))
	for i, p := range pairs {
		expr, ok1 := p.Key.Str()
		target, ok2 := p.Value.Str()
		if !ok1 || !ok2 {
			return nil, fmt.Errorf("rule %d: expected two strings, got %s and %s", i+1, p.Key.Kind(), p.Value.Kind())
		}
		var err error
		if rules[i].regex, err = b.Regex(expr); err != nil {
			return nil, err
		}
		if rules[i].target, err = parse(target); err != nil {
			return nil, err
		}
	}
	return rules, nil
}

// match returns the position of the first rule that matches subject, -1 for none, and
// its captures.
func (s *ruleSet) match(subject string) (int, runtime.Captures) {
	i := s.set.Match(subject)
	if i < 0 || s.rules[i].regex == nil {
		return i, nil
	}
	return i, s.rules[i].regex.Captures(subject)
}

func newRedirect(b *runtime.Builder, args runtime.Args) (runtime.Action, error) {
	rules, err := parseRules(b, args.Value(0), runtime.ParsePattern)
	if err != nil {
		return nil, err
	}
	debug := b.Option("redirect.debug")
	return runtime.ActionFunc(func(vr *runtime.VRequest) error {
		if vr.IsHandled() {
			return nil
		}
		i, captures := rules.match(vr.Request.URI.Path)
		if i < 0 {
			return nil
		}
		r := &rules.rules[i]
		location := absoluteLocation(vr, r.target.Eval(vr, captures))
		if vr.Option(debug).(bool) {
			vr.Log().Info("redirect", "path", vr.Request.URI.Path, "rule", r.String(), "location", location)
		}
		sendRedirect(vr, http.StatusMovedPermanently, location)
		return nil
	}), nil
}

// absoluteLocation completes a target by what the request has.
func absoluteLocation(vr *runtime.VRequest, target string) string {
	uri := &vr.Request.URI
	origin := uri.Scheme + "://" + uri.Authority
	switch {
	case strings.HasPrefix(target, "?"):
		return origin + runtime.EncodePath(uri.Path) + target
	case strings.HasPrefix(target, "/"):
		return origin + target
	case strings.HasPrefix(target, "./"):
		dir := uri.Path[:strings.LastIndexByte(uri.Path, '/')+1]
		return origin + runtime.EncodePath(dir) + target[2:]
	}
	return target
}

// sendRedirect answers the request with a Location.
func sendRedirect(vr *runtime.VRequest, status int, location string) {
	if !vr.HandleDirect() {
		return
	}
	vr.Response.Status = status
	vr.Response.Header.Set("Location", cleanLocation(location))
}

// cleanLocation encodes what would end the header field.
func cleanLocation(s string) string {
	if runtime.ValidFieldValue(s) {
		return s
	}
	return strings.NewReplacer("\r", "%0d", "\n", "%0a", "\x00", "%00").Replace(s)
}
