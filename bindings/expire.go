package bindings

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"luaserve/runtime"
)

func expireModule() *runtime.Module {
	return &runtime.Module{
		Name:      "expire",
		Doc:       "Lets clients keep answers: sets Expires and adds max-age to Cache-Control.",
		Untrusted: []string{"expire"},
		Actions: []runtime.ActionDef{{
			Name: "expire", New: newExpire,
			Doc: `The rule is a base, "access" (also "now") or "modification" of the file, an optional "plus", and pairs of a number and a unit. ` +
				`A "modification" without a file does nothing.`,
			Example: `actions = { when(request.path:match "\\.(css|js)$", { expire "access plus 1 week 2 days" }), respond "x" }`,
			Params:  []runtime.Param{{Name: "rule", Type: runtime.TString}},
		}},
	}
}

// expireUnits are the units of a rule; the s at the end may be left out.
var expireUnits = []struct {
	name    string
	seconds int64
}{
	{"seconds", 1}, {"minutes", 60}, {"hours", 3600}, {"days", 86400},
	{"weeks", 7 * 86400}, {"months", 30 * 86400}, {"years", 365 * 86400},
}

// expireRule is a parsed rule.
type expireRule struct {
	modification bool
	seconds      int64
}

func parseExpireRule(text string) (expireRule, error) {
	var r expireRule
	words := strings.Fields(text)
	if len(words) == 0 {
		return r, fmt.Errorf(`the rule is empty; expected for example "access plus 1 week"`)
	}
	switch words[0] {
	case "access", "now":
	case "modification":
		r.modification = true
	default:
		return r, fmt.Errorf("unknown base %q; expected access, now or modification", words[0])
	}
	words = words[1:]
	if len(words) > 0 && words[0] == "plus" {
		words = words[1:]
	}
	for ; len(words) > 0; words = words[2:] {
		n, err := strconv.ParseInt(words[0], 10, 32)
		if err != nil || n <= 0 {
			return r, fmt.Errorf("%q is no positive number", words[0])
		}
		if len(words) == 1 {
			return r, fmt.Errorf("a unit is missing behind %d; expected %s", n, unitNames())
		}
		unit, ok := expireUnit(words[1])
		if !ok {
			return r, fmt.Errorf("unknown unit %q; expected %s", words[1], unitNames())
		}
		r.seconds += n * unit
	}
	return r, nil
}

func expireUnit(name string) (seconds int64, ok bool) {
	for _, u := range expireUnits {
		if name == u.name || name == strings.TrimSuffix(u.name, "s") {
			return u.seconds, true
		}
	}
	return 0, false
}

func unitNames() string {
	names := make([]string, len(expireUnits))
	for i, u := range expireUnits {
		names[i] = u.name
	}
	last := len(names) - 1
	return strings.Join(names[:last], ", ") + " or " + names[last]
}

func newExpire(_ *runtime.Builder, args runtime.Args) (runtime.Action, error) {
	rule, err := parseExpireRule(args.Str(0))
	if err != nil {
		return nil, err
	}
	var last atomic.Pointer[expireTexts]
	return runtime.ActionFunc(func(vr *runtime.VRequest) error {
		now := vr.Now()
		maxAge := rule.seconds
		if rule.modification {
			stat := vr.Physical.Stat()
			if !stat.Exists {
				return nil
			}
			maxAge = max(stat.ModTime.Unix()+rule.seconds-now.Unix(), 0)
		}
		texts := last.Load()
		if expires := now.Unix() + maxAge; texts == nil || texts.at != expires || texts.maxAge != maxAge {
			texts = newExpireTexts(expires, maxAge)
			last.Store(texts)
		}
		vr.Response.Header.Set("Expires", texts.expires)
		vr.Response.Header.Append("Cache-Control", texts.cacheControl)
		return nil
	}), nil
}

// expireTexts are the fields for an end in seconds since 1970, which are the same for many
// requests.
type expireTexts struct {
	at, maxAge            int64
	expires, cacheControl string
}

func newExpireTexts(at, maxAge int64) *expireTexts {
	return &expireTexts{at, maxAge, time.Unix(at, 0).UTC().Format(http.TimeFormat), "max-age=" + strconv.FormatInt(maxAge, 10)}
}
