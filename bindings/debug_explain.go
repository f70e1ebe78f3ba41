package bindings

import (
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"time"

	"luaserve/explain"
	"luaserve/runtime"
)

func debugExplainAction() runtime.ActionDef {
	return runtime.ActionDef{
		Name: "debug.explain", New: newDebugExplain,
		Doc: "Runs an action. When the request brings the header Luaserve-Explain, signed with the key, it is not answered but explained: " +
			"as JSON, every action that it met, what conditions saw, what was changed, and which action decided, as `luaserve explain --server` asks for it. " +
			"All of it really happens, backends are asked. Put it around all actions of a site. A signature counts for one request and a minute; " +
			"with a wrong one the request is answered as any other. The answer shows paths and rules of the server, so keep the key from others.",
		Example: `actions = action.debug.explain("explain.key", { docroot "/var/www", static() })`,
		Params: []runtime.Param{
			{Name: "key_file", Type: runtime.TString, Doc: "file with a key of at least 16 bytes; `openssl rand -hex 32` makes one"},
			{Name: "action", Type: runtime.TAction, Doc: "what to run"}},
	}
}

func newDebugExplain(_ *runtime.Builder, args runtime.Args) (runtime.Action, error) {
	key, err := explain.ReadKey(args.Str(0))
	if err != nil {
		return nil, err
	}
	inner := args.Action(1)
	return runtime.Containing(func(vr *runtime.VRequest) error {
		value, asked := vr.Request.Header.Lookup(explain.SignatureHeader)
		vr.Request.Header.Remove(explain.SignatureHeader) // not for backends
		if !asked || !explain.Signed(value, key, time.Now(), vr.Request.Method, vr.Request.Header.Get("Host"), vr.Request.URI.RawPath) {
			return vr.Tail(inner)
		}
		return explainInstead(vr, inner)
	}, runtime.Child{Action: inner}), nil
}

// explainInstead runs an action and answers with what it did.
func explainInstead(vr *runtime.VRequest, inner runtime.Action) error {
	method, url := vr.Request.Method, vr.Request.URI.Scheme+"://"+vr.Request.Header.Get("Host")+vr.Request.URI.RawPath
	trace, err := vr.Traced(runtime.TraceOptions{Backends: true}, func() error { return inner.Run(vr) })
	if trace == nil {
		return err
	}
	result := explain.Of(trace)
	result.Method, result.URL, result.Status = method, url, statusOf(vr, err)
	if err == nil {
		for name, value := range vr.Response.Header.All() {
			result.Header = append(result.Header, runtime.Field{Name: name, Value: value})
		}
		result.Length = max(vr.Out.Len(), 0)
	}
	body, err := json.Marshal(result)
	if err != nil {
		return err
	}
	vr.Reopen()
	vr.Response.Header.Reset()
	if !vr.HandleDirect() {
		return errors.New("the request cannot be explained: it was handed over")
	}
	vr.Response.Status = http.StatusOK
	vr.Response.Header.Set("Content-Type", explain.ContentType)
	vr.Response.Header.Set("Cache-Control", "no-store")
	vr.Out.AddString(strings.TrimSpace(string(body)))
	return nil
}

// statusOf is the status that the client would have got.
func statusOf(vr *runtime.VRequest, err error) int {
	if own, ok := errors.AsType[*runtime.StatusError](err); ok {
		return own.Status
	}
	switch {
	case err != nil:
		return http.StatusInternalServerError
	case !vr.IsHandled():
		return http.StatusNotFound
	}
	return vr.Response.Status
}
