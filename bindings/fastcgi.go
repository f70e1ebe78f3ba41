package bindings

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"

	"github.com/yookoala/gofast"

	"luaserve/bindings/fcgi"
	"luaserve/bindings/upstream"
	"luaserve/runtime"
)

func fastcgiModule() *runtime.Module {
	return &runtime.Module{
		Name: "fastcgi",
		Doc:  "Hands requests to FastCGI applications.",
		Options: []runtime.Option{{
			Name: "fastcgi.log_plain_errors", Type: runtime.TBool, Default: false,
			Doc:      "Whether what an application writes to stderr goes to the log without time and place.",
			NoEffect: "such lines are messages of the log as all others, with the address of the backend",
			Example:  "setup.fastcgi.log_plain_errors(true)",
		}},
		Actions: []runtime.ActionDef{{
			Name: "fastcgi", New: newFastCGI,
			Doc: "Answers the request by a FastCGI application. It returns when the head of the response is there, so that later actions can look at it and change it; " +
				"an application that cannot be reached is a 503, one that breaks off or answers nonsense a 502, one that is too slow a 504.",
			Example: `actions = { docroot "/var/www", fastcgi "unix:/run/php.sock" }`,
			Params:  []runtime.Param{{Name: "socket", Type: runtime.TAddress, Doc: `"unix:/path" or "host:port"`}},
		}},
	}
}

// FastCGIMiddleware is the key under which an embedder can put a [gofast.Middleware] into
// [runtime.Config.Values]: it sees and may change every FastCGI request before it is sent.
type FastCGIMiddleware struct{}

// fastcgiBackend is one application with its connections.
type fastcgiBackend struct {
	client     *fcgi.Client
	address    string
	options    cgiOptions
	middleware gofast.Middleware
}

func newFastCGI(b *runtime.Builder, args runtime.Args) (runtime.Action, error) {
	network, address, err := upstream.ParseAddress(args.Str(0))
	if err != nil {
		return nil, err
	}
	client := fcgi.NewClient(fcgi.Config{Config: upstream.Config{Network: network, Address: address}})
	b.OnClose(func() { client.Close() })
	backend := &fastcgiBackend{client: client, address: args.Str(0), options: newCGIOptions(b)}
	backend.middleware, _ = b.Value(FastCGIMiddleware{}).(gofast.Middleware)
	return backend, nil
}

// Run sends the request and waits for the head of the response.
func (f *fastcgiBackend) Run(vr *runtime.VRequest) error {
	if vr.IsHandled() {
		return nil
	}
	announced, length, err := cgiBody(vr)
	if err != nil {
		return err
	}
	req := &fcgi.Request{Role: gofast.RoleResponder, Params: f.options.environment(vr, announced), StdinLength: length}
	if length > 0 {
		req.Stdin = vr.In
	}
	log, ctx := vr.Log(), vr.Context()
	stderr := func(line string) {
		log.LogAttrs(ctx, slog.LevelError, line, slog.String("backend", f.address), slog.String("stream", "stderr"))
	}
	resp, err := f.send(ctx, req, stderr)
	if err != nil {
		return &runtime.StatusError{Status: backendStatus(err), Err: fmt.Errorf("backend %s: %w", f.address, err)}
	}
	for _, field := range resp.Header {
		vr.Response.Header.Insert(field.Name, field.Value)
	}
	vr.HandleBackend(resp.Status, resp.Body)
	return nil
}

// send runs the request through the embedder's middleware, if there is one.
func (f *fastcgiBackend) send(ctx context.Context, req *fcgi.Request, stderr func(string)) (*fcgi.Response, error) {
	if f.middleware == nil {
		return f.client.Do(ctx, req, stderr)
	}
	var resp *fcgi.Response
	order := make([]string, len(req.Params))
	params := make(map[string]string, len(req.Params))
	for i, p := range req.Params {
		order[i], params[p.Name] = p.Name, p.Value
	}
	session := f.middleware(func(_ gofast.Client, g *gofast.Request) (*gofast.ResponsePipe, error) {
		changed := fcgi.FromGofast(g, order)
		changed.Stdin, changed.StdinLength = req.Stdin, req.StdinLength
		var err error
		resp, err = f.client.Do(ctx, changed, stderr)
		return nil, err
	})
	raw, err := http.NewRequestWithContext(ctx, params["REQUEST_METHOD"], params["REQUEST_URI"], nil)
	if err != nil {
		return nil, err
	}
	g := gofast.NewRequest(raw)
	g.Role, g.Params = req.Role, params
	if _, err := session(nil, g); err != nil {
		return nil, err
	}
	if resp == nil {
		return nil, errors.New("the middleware answered without calling the application, which it cannot do here")
	}
	return resp, nil
}

// backendStatus says how a failure of a backend is answered (RFC 9110, 15.6); a request body
// that failed has a status of its own.
func backendStatus(err error) int {
	if status, ok := errors.AsType[*runtime.StatusError](err); ok {
		return status.Status
	}
	return upstream.KindOf(err).Status()
}
