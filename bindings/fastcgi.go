package bindings

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"slices"
	"sync"

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
			Name: "fastcgi", New: newFastCGI, Backend: runtime.Answers,
			Doc: "Answers the request by a FastCGI application. It returns when the head of the response is there, so that later actions can look at it and change it; " +
				"an application that cannot be reached is a 503, one that breaks off or answers nonsense a 502, one that is too slow a 504.",
			Example: `actions = { docroot "/var/www", fastcgi "unix:/run/php.sock" }`,
			Params:  backendParam(fastcgiOptions),
		}, authorizeAction()},
	}
}

var fastcgiOptions = append(slices.Clip(commonBackendOptions), environmentOption(func(o *backendOptions) *[]environmentEntry { return &o.additions }))

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

// fastcgiKey is what a client is shared by; see clientFor.
type fastcgiKey struct{ config string }

func newFastCGI(b *runtime.Builder, args runtime.Args) (runtime.Action, error) {
	return newFastCGIBackend(b, args)
}

func newFastCGIBackend(b *runtime.Builder, args runtime.Args) (*fastcgiBackend, error) {
	o, err := readBackend(b, args.Value(0), fastcgiOptions)
	if err != nil {
		return nil, err
	}
	client := clientFor(b, fastcgiKey{o.Key()}, func() *fcgi.Client { return fcgi.NewClient(fcgi.Config{Config: o.Config}) })
	showPool(b, o.socket, client.Idle)
	backend := &fastcgiBackend{client: client, address: o.socket, options: newCGIOptions(b, o.additions)}
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
	return f.exchange(vr, announced, length, vr.MayPause() && f.middleware == nil, false)
}

// exchange asks the application. A request that may pause does so if it can be sent over a kept
// connection.
func (f *fastcgiBackend) exchange(vr *runtime.VRequest, announced, length int64, mayPause, fresh bool) error {
	env := f.options.environment(vr, announced)
	req := fcgi.Request{Role: gofast.RoleResponder, Params: env.params, StdinLength: length, Loop: vr, Fresh: fresh}
	if length > 0 {
		req.Stdin = vr.In
	}
	if mayPause {
		pause := fastcgiPauses.Get().(*fastcgiPause)
		pause.backend, pause.announced, pause.log = f, announced, vr.Log()
		if f.client.Start(vr.LateContext(), &req, pause.stderr, &pause.pending) {
			env.free()
			return vr.Pause(pause.pending.On(), pause)
		}
		fastcgiPauses.Put(pause)
	}
	resp, err := f.ask(vr, &req)
	env.free()
	return f.handle(vr, resp, err)
}

// fastcgiPause is a request that waits for its answer. Behind an answer that came whole its memory
// is used again.
type fastcgiPause struct {
	backend *fastcgiBackend
	pending fcgi.Pending

	announced int64 // length of the body, of which nothing is left
	log       *slog.Logger
	stderr    func(line string) // logs a line, made once
}

var fastcgiPauses = sync.Pool{New: func() any {
	p := &fastcgiPause{}
	p.stderr = func(line string) { p.backend.logLine(p.log, line) }
	return p
}}

// Resume implements [runtime.Resumer].
func (p *fastcgiPause) Resume(vr *runtime.VRequest, wait bool) error {
	resp, again, err := p.pending.Resume(wait)
	if again {
		return vr.Pause(p.pending.On(), p)
	}
	if err == upstream.ErrStale {
		return p.backend.exchange(vr, p.announced, 0, false, true)
	}
	if err != nil {
		return backendError(p.backend.address, err)
	}
	whole := resp.Data != nil
	err = p.backend.handle(vr, resp, nil)
	if whole && p.pending.Free() {
		p.log = nil
		fastcgiPauses.Put(p)
	}
	return err
}

// handle makes the answer of the application that of the request.
func (f *fastcgiBackend) handle(vr *runtime.VRequest, resp *fcgi.Response, err error) error {
	if err != nil {
		return err
	}
	for _, field := range resp.Header {
		vr.Response.Header.Insert(field.Name, field.Value)
	}
	if resp.Data == nil {
		vr.HandleBackend(resp.Status, resp.Body)
		return nil
	}
	vr.HandleBackend(resp.Status, nil)
	vr.Out.Add(resp.Data)
	return nil
}

// ask sends a request and returns the head of the answer; its body is still to come.
func (f *fastcgiBackend) ask(vr *runtime.VRequest, req *fcgi.Request) (*fcgi.Response, error) {
	ctx, stderr := vr.LateContext(), f.stderr(vr)
	var resp *fcgi.Response
	var err error
	if f.middleware == nil {
		resp, err = f.client.Do(ctx, req, stderr)
	} else {
		resp, err = f.askThroughMiddleware(ctx, *req, stderr)
	}
	if err != nil {
		return nil, backendError(f.address, err)
	}
	return resp, nil
}

// stderr returns what takes the lines that the application writes to stderr.
func (f *fastcgiBackend) stderr(vr *runtime.VRequest) func(line string) {
	log := vr.Log()
	return func(line string) { f.logLine(log, line) }
}

func (f *fastcgiBackend) logLine(log *slog.Logger, line string) {
	log.LogAttrs(context.Background(), slog.LevelError, line, slog.String("backend", f.address), slog.String("stream", "stderr"))
}

// askThroughMiddleware sends the request through what the embedder has put before it.
func (f *fastcgiBackend) askThroughMiddleware(ctx context.Context, req fcgi.Request, stderr func(string)) (*fcgi.Response, error) {
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
