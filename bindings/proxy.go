package bindings

import (
	"net/netip"
	"slices"
	"strings"
	"sync"

	"luaserve/bindings/httpproxy"
	"luaserve/bindings/upstream"
	"luaserve/runtime"
)

func proxyModule() *runtime.Module {
	return &runtime.Module{
		Name: "proxy",
		Doc:  "Hands requests to HTTP servers.",
		Actions: []runtime.ActionDef{{
			Name: "proxy", New: newProxy, Backend: runtime.Answers,
			Doc: "Answers the request by a HTTP/1.1 server. It gets the method, the address (request.raw_path, byte for byte), the header fields with Host, and the body; " +
				"X-Forwarded-For and X-Forwarded-Proto are replaced by what the connection says. It returns when the head of the response is there, so that later actions can look at it and change it; " +
				"a server that cannot be reached is a 503, one that breaks off or answers nonsense a 502, one that is too slow a 504. " +
				"Connections are kept open for later requests. A client may go over to WebSocket: then bytes are passed on both ways until both sides have ended, or neither has sent any for the read timeout. " +
				"Fields behind the body (trailers) are passed on to a client that asks for them with TE: trailers, unless a filter or a later action changes the body.",
			Example: `actions = proxy "127.0.0.1:8080"`,
			Params:  backendParam(proxyOptions),
		}},
	}
}

var proxyOptions = append(slices.Clip(commonBackendOptions), stringsOption("upgrade", "the protocols that a client may go over to", func(o *backendOptions) *[]string { return &o.upgrades }))

// proxyUpstream is one HTTP server with its connections.
type proxyUpstream struct {
	client  *httpproxy.Client
	address string
	host    string // for requests that have none

	upgrades []string // protocols that clients may go over to
}

// proxyKey is what a client is shared by; see clientFor.
type proxyKey struct{ config string }

func newProxy(b *runtime.Builder, args runtime.Args) (runtime.Action, error) {
	o, err := readBackend(b, args.Value(0), proxyOptions)
	if err != nil {
		return nil, err
	}
	client := clientFor(b, proxyKey{o.Key()}, func() *httpproxy.Client { return httpproxy.NewClient(httpproxy.Config{Config: o.Config}) })
	showPool(b, o.socket, client.Idle)
	p := &proxyUpstream{client: client, address: o.socket, host: o.Address, upgrades: o.upgrades}
	if o.Network == "unix" {
		p.host = "localhost"
	}
	return p, nil
}

// Run sends the request and waits for the head of the response.
func (p *proxyUpstream) Run(vr *runtime.VRequest) error {
	if vr.IsHandled() {
		return nil
	}
	length, err := uploadLength(vr)
	if err != nil {
		return err
	}
	return p.exchange(vr, length, vr.MayPause(), false)
}

// exchange asks the server. A request that may pause does so if it can be sent over a kept
// connection.
func (p *proxyUpstream) exchange(vr *runtime.VRequest, length int64, mayPause, fresh bool) error {
	fields := proxyFieldsPool.Get().(*proxyFields)
	defer fields.free()
	fields.take(vr)
	req := httpproxy.Request{
		Method: vr.Request.Method, Target: vr.Request.URI.RawPath, Host: vr.Request.Header.Get("Host"),
		Header: fields.header, Own: fields.own, Length: length,
		Trailers: vr.TakesTrailers(), Upgrade: p.upgrade(vr), Loop: vr, Fresh: fresh,
	}
	if length != 0 {
		req.Body = vr.In
	}
	if req.Host == "" {
		req.Host = p.host
	}
	ctx := vr.LateContext()
	if mayPause {
		pause := proxyPauses.Get().(*proxyPause)
		if p.client.Start(ctx, &req, &pause.pending) {
			pause.upstream = p
			return vr.Pause(pause.pending.On(), pause)
		}
		proxyPauses.Put(pause)
	}
	resp, err := p.client.Do(ctx, &req)
	return p.handle(vr, resp, err)
}

// proxyFields are the fields of a request, in memory that is used again.
type proxyFields struct {
	header, own []httpproxy.Field

	client netip.Addr
	text   string // of client; requests of one client often follow one another
}

var proxyFieldsPool = sync.Pool{New: func() any { return &proxyFields{} }}

func (f *proxyFields) take(vr *runtime.VRequest) {
	for name, value := range vr.Request.Header.All() {
		f.header = append(f.header, httpproxy.Field{Name: name, Value: value})
	}
	f.addForwarded(vr)
}

func (f *proxyFields) free() {
	clear(f.header)
	clear(f.own)
	f.header, f.own = f.header[:0], f.own[:0]
	proxyFieldsPool.Put(f)
}

// proxyPause is a request that waits for its answer. Behind an answer that came whole its memory
// is used again.
type proxyPause struct {
	upstream *proxyUpstream
	pending  httpproxy.Pending
}

var proxyPauses = sync.Pool{New: func() any { return &proxyPause{} }}

// Resume implements [runtime.Resumer].
func (p *proxyPause) Resume(vr *runtime.VRequest, wait bool) error {
	resp, again, err := p.pending.Resume(wait)
	if again {
		return vr.Pause(p.pending.On(), p)
	}
	if err == upstream.ErrStale {
		return p.upstream.exchange(vr, 0, false, true)
	}
	whole := err == nil && resp.Data != ""
	err = p.upstream.handle(vr, resp, err)
	if whole {
		p.pending.Free()
		proxyPauses.Put(p)
	}
	return err
}

// handle makes the answer of the server that of the request.
func (p *proxyUpstream) handle(vr *runtime.VRequest, resp *httpproxy.Response, err error) error {
	if err != nil {
		return backendError(p.address, err)
	}
	for _, field := range resp.Header {
		vr.Response.Header.Insert(field.Name, field.Value)
	}
	if t := resp.Tunnel; t != nil {
		vr.OnFinish(t.Close)
		vr.HandleUpgrade(t.Protocol, t.Run)
		return nil
	}
	if resp.Data == "" {
		vr.HandleBackend(resp.Status, resp.Body)
		if resp.Trailer != nil {
			vr.PassTrailer(func() []runtime.Field { return runtimeFields(resp.Trailer()) })
		}
		return nil
	}
	vr.HandleBackend(resp.Status, nil)
	vr.Out.AddString(resp.Data)
	return nil
}

// upgrade returns the protocol that the client asks to go over to, if it may (RFC 9110, 7.8).
// Others than the allowed ones are not passed on: over h2c, for one, requests would reach the
// upstream that no rule has seen.
func (p *proxyUpstream) upgrade(vr *runtime.VRequest) string {
	protocol := vr.Request.Header.Get("Upgrade")
	allowed := func(name string) bool { return strings.EqualFold(name, protocol) }
	if protocol == "" || !slices.ContainsFunc(p.upgrades, allowed) || !vr.CanUpgrade() {
		return ""
	}
	for option := range strings.SplitSeq(vr.Request.Header.Get("Connection"), ",") {
		if strings.EqualFold(strings.Trim(option, " \t"), "upgrade") {
			return protocol
		}
	}
	return ""
}

// addForwarded adds the fields that say where the request came from. As in lighttpd2, what the
// client says of itself is replaced.
func (f *proxyFields) addForwarded(vr *runtime.VRequest) {
	scheme := "http"
	if vr.Con.TLS != nil {
		scheme = "https"
	}
	if vr.Con.Remote.IsValid() {
		if client := vr.Con.Remote.Addr(); f.client != client {
			f.client, f.text = client, client.String()
		}
		f.own = append(f.own, httpproxy.Field{Name: "X-Forwarded-For", Value: f.text})
	}
	f.own = append(f.own, httpproxy.Field{Name: "X-Forwarded-Proto", Value: scheme})
}

func runtimeFields(fields []httpproxy.Field) []runtime.Field {
	out := make([]runtime.Field, len(fields))
	for i, f := range fields {
		out[i] = runtime.Field(f)
	}
	return out
}

// uploadLength returns the length of the request body, -1 when it is not known: such a body
// is passed on in chunks and not buffered.
func uploadLength(vr *runtime.VRequest) (int64, error) {
	switch {
	case vr.BodyFiltered():
		return -1, nil
	case vr.In.IsClosed() && vr.In.Len() == 0:
		return 0, nil
	case !vr.Request.Header.Has("Content-Length"):
		return -1, nil
	}
	return vr.ContentLength()
}
