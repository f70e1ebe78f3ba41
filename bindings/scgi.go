package bindings

import (
	"luaserve/bindings/scgi"
	"luaserve/runtime"
)

func scgiModule() *runtime.Module {
	return &runtime.Module{
		Name: "scgi",
		Doc:  "Hands requests to SCGI applications.",
		Actions: []runtime.ActionDef{{
			Name: "scgi", New: newSCGI, Backend: runtime.Answers,
			Doc: "Answers the request by an SCGI application. It returns when the head of the response is there, so that later actions can look at it and change it; " +
				"an application that cannot be reached is a 503, one that breaks off or answers nonsense a 502, one that is too slow a 504. " +
				"The end of the connection is the end of the response, so let the application send a Content-Length: only then a response that broke off can be told from a complete one. " +
				"Connections are never kept, so keep_alive, idle_connections and idle_time have no effect.",
			Example: `actions = { docroot "/var/www", scgi "unix:/run/app.sock" }`,
			Params:  backendParam(fastcgiOptions),
		}},
	}
}

// scgiBackend is one application.
type scgiBackend struct {
	client  *scgi.Client
	address string
	options cgiOptions
}

func newSCGI(b *runtime.Builder, args runtime.Args) (runtime.Action, error) {
	o, err := readBackend(b, args.Value(0), fastcgiOptions)
	if err != nil {
		return nil, err
	}
	return &scgiBackend{client: scgi.NewClient(o.Config), address: o.socket, options: newCGIOptions(b, o.additions)}, nil
}

// Run sends the request and waits for the head of the response.
func (s *scgiBackend) Run(vr *runtime.VRequest) error {
	if vr.IsHandled() {
		return nil
	}
	_, length, err := cgiBody(vr)
	if err != nil {
		return err
	}
	env := s.options.environment(vr, length)
	vr.Waits()
	resp, err := s.client.Do(vr.LateContext(), &scgi.Request{Params: env.params, Body: vr.In, Length: length})
	env.free()
	if err != nil {
		return backendError(s.address, err)
	}
	for _, field := range resp.Header {
		vr.Response.Header.Insert(field.Name, field.Value)
	}
	vr.HandleBackend(resp.Status, resp.Body)
	return nil
}
