package bindings

import (
	"net/http"
	"slices"
	"strings"

	"luaserve/runtime"
)

func accelModule() *runtime.Module {
	return &runtime.Module{
		Name: "accel",
		Doc:  "Lets a backend decide and the server answer.",
		Actions: []runtime.ActionDef{{
			Name: "accel.redirect", New: newAccelRedirect,
			Doc: "Answers in place of a backend that names a path in X-Accel-Redirect: the path, with a query if there is one, becomes that of the request, and the actions run, as if a client had asked for it by GET or HEAD. " +
				"Only these actions can answer, so what they reach may be closed to all other requests. " +
				"Of the backend's header Content-Type, Content-Disposition, Accept-Ranges, Set-Cookie, Cache-Control and Expires stay, as in nginx. " +
				"Put it right behind the backend. A value that is no path, or an answer that redirects again more than 8 times, is a 502.",
			Example: `actions = { fastcgi "unix:/run/app.sock", accel.redirect { alias { "/protected/", "/srv/files/" }, static() } }`,
			Params:  []runtime.Param{{Name: "actions", Type: runtime.TAction, Doc: "what answers"}},
		}},
	}
}

const (
	accelField        = "X-Accel-Redirect"
	maxAccelRedirects = 8
)

// accelKept are the fields of the backend's answer that stay.
var accelKept = []string{"Content-Type", "Content-Disposition", "Accept-Ranges", "Set-Cookie", "Cache-Control", "Expires"}

func newAccelRedirect(_ *runtime.Builder, args runtime.Args) (runtime.Action, error) {
	inner := args.Action(0)
	return runtime.Containing(func(vr *runtime.VRequest) error {
		method := vr.Request.Method
		defer func() { vr.Request.Method = method }() // the log tells what the client sent
		for n := 0; vr.HasResponse(); n++ {
			target, ok := vr.Response.Header.Lookup(accelField)
			switch {
			case !ok:
				return nil
			case target == "" || target[0] != '/':
				return runtime.Fail(http.StatusBadGateway, "%s: %q is no path", accelField, target)
			case n == maxAccelRedirects:
				return runtime.Fail(http.StatusBadGateway, "%s: more than %d redirects", accelField, maxAccelRedirects)
			}
			if method != http.MethodHead {
				vr.Request.Method = http.MethodGet
			}
			kept := takeBack(vr)
			vr.Request.URI.SetRawPath(target)
			if err := inner.Run(vr); err != nil {
				return err
			}
			giveBack(vr, kept)
		}
		return nil
	}, runtime.Child{Action: inner}), nil
}

// takeBack makes a request unanswered again and returns the fields of its answer that stay.
func takeBack(vr *runtime.VRequest) (kept []runtime.Field) {
	vr.Reopen()
	for name, value := range vr.Response.Header.All() {
		if slices.Contains(accelKept, http.CanonicalHeaderKey(name)) {
			kept = append(kept, runtime.Field{Name: name, Value: value})
		}
	}
	vr.Response.Header.Reset()
	return kept
}

// giveBack adds the fields that stay to the new answer: where it has the same ones, its own
// count, except for the type of what the server itself sends, as the name of a file may say
// less than the backend.
func giveBack(vr *runtime.VRequest, kept []runtime.Field) {
	h := &vr.Response.Header
	own := vr.IsHandled() && vr.Out.Len() >= 0
	for _, f := range kept {
		switch name := http.CanonicalHeaderKey(f.Name); {
		case name == "Set-Cookie" || !h.Has(name):
			h.Insert(f.Name, f.Value)
		case name == "Content-Type" && own && !strings.HasPrefix(h.Get(name), "multipart/"):
			h.Set(name, f.Value)
		}
	}
}
