package bindings

import (
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"

	"github.com/yookoala/gofast"

	"luaserve/bindings/fcgi"
	"luaserve/runtime"
)

func authorizeAction() runtime.ActionDef {
	return runtime.ActionDef{
		Name: "fastcgi.authorize", New: newAuthorize, Backend: runtime.Decides,
		Doc: "Asks a FastCGI application in the role of an authorizer whether the request may go on (FastCGI 6.3). When it answers with the status 200, it may: " +
			"the header fields of that answer named Variable-NAME become entries NAME of the environment, and the next action runs. " +
			"Any other answer is the answer to the request. The application does not see the body of the request. " +
			"An application that cannot be reached is a 503, one that breaks off or answers nonsense a 502, one that is too slow a 504: the request never goes on then. " +
			"Put it before what answers the request: it does nothing when that has been done.",
		Example: `actions = { fastcgi.authorize "unix:/run/authorize.sock", docroot "/var/www", fastcgi "unix:/run/app.sock" }`,
		Params:  backendParam(fastcgiOptions),
	}
}

func newAuthorize(b *runtime.Builder, args runtime.Args) (runtime.Action, error) {
	backend, err := newFastCGIBackend(b, args)
	if err != nil {
		return nil, err
	}
	return runtime.ActionFunc(backend.authorize), nil
}

// notForAuthorizers are the variables that an authorizer must not get (FastCGI 6.3).
var notForAuthorizers = []string{"CONTENT_LENGTH", "PATH_INFO", "PATH_TRANSLATED", "SCRIPT_NAME"}

const variablePrefix = "variable-"

// authorize lets the request go on, or answers it.
func (f *fastcgiBackend) authorize(vr *runtime.VRequest) error {
	if vr.IsHandled() {
		return nil
	}
	env := f.options.environment(vr, 0)
	env.params = slices.DeleteFunc(env.params, func(p fcgi.Param) bool {
		return slices.Contains(notForAuthorizers, p.Name)
	})
	resp, err := f.ask(vr, &fcgi.Request{Role: gofast.RoleAuthorizer, Params: env.params})
	env.free()
	if err != nil {
		return err
	}
	granted := resp.Status == http.StatusOK
	if granted {
		if err := f.readToEnd(resp); err != nil {
			return err
		}
	}
	for _, field := range resp.Header {
		name, isVariable := cutVariable(field.Name)
		switch {
		case isVariable && granted && name != "":
			vr.Env.Set(name, field.Value)
		case !isVariable && !granted:
			vr.Response.Header.Insert(field.Name, field.Value)
		}
	}
	if granted {
		return nil
	}
	vr.HandleBackend(resp.Status, resp.Body)
	return nil
}

// readToEnd reads what an authorizer says besides its variables, which nobody needs: an answer
// that breaks off grants nothing, and behind its end the connection can be used again.
func (f *fastcgiBackend) readToEnd(resp *fcgi.Response) error {
	const enough = 64 << 10
	defer resp.Body.Close()
	n, err := io.CopyN(io.Discard, resp.Body, enough)
	switch {
	case err != nil && err != io.EOF:
		return backendError(f.address, err)
	case n == enough:
		return backendError(f.address, errors.New("the authorizer's answer is too long"))
	}
	return nil
}

// cutVariable returns the NAME of Variable-NAME.
func cutVariable(field string) (name string, ok bool) {
	if len(field) < len(variablePrefix) || !strings.EqualFold(field[:len(variablePrefix)], variablePrefix) {
		return "", false
	}
	return field[len(variablePrefix):], true
}
