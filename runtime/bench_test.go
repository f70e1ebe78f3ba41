package runtime_test

import (
	"context"
	"io"
	"net/netip"
	"syscall"
	"testing"

	"luaserve/runtime"
)

// fakeExchange is a front end that costs nothing, so that benchmarks see the pipeline.
type fakeExchange struct {
	target string
	host   string // "" for example.net
	fields []runtime.Field
	remote netip.Addr // zero for 127.0.0.1
}

var (
	benchLocal  = netip.MustParseAddrPort("127.0.0.1:80")
	benchRemote = netip.MustParseAddrPort("127.0.0.1:5000")
)

func (e *fakeExchange) Context() context.Context { return context.Background() }
func (e *fakeExchange) Method() string           { return "GET" }
func (e *fakeExchange) Target() string           { return e.target }
func (e *fakeExchange) Proto() string            { return "HTTP/1.1" }
func (e *fakeExchange) Host() string {
	if e.host != "" {
		return e.host
	}
	return "example.net"
}
func (e *fakeExchange) Connection() runtime.Connection {
	remote := benchRemote
	if e.remote.IsValid() {
		remote = netip.AddrPortFrom(e.remote, remote.Port())
	}
	return runtime.Connection{Local: benchLocal, Remote: remote}
}
func (e *fakeExchange) EachHeader(f func(n, v string)) {
	f("Host", e.Host())
	f("User-Agent", "bench")
	for _, field := range e.fields {
		f(field.Name, field.Value)
	}
}
func (e *fakeExchange) ContentLength() int64 { return 0 }
func (e *fakeExchange) Body() io.Reader      { return nil }
func (e *fakeExchange) CanUpgrade() bool     { return false }

// cpuTime is the processor time that the process has used, in nanoseconds: on a machine that
// others use, too, it says more than the clock.
func cpuTime() int64 {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return u.Utime.Nano() + u.Stime.Nano()
}

func bench(b *testing.B, script, target string) {
	p, err := runtime.Load(writeScript(b, script), testConfig(&logBuffer{}))
	if err != nil {
		b.Fatal(err)
	}
	defer p.Close()
	ex := &fakeExchange{target: target}
	b.ReportAllocs()
	begun := cpuTime()
	defer func() { b.ReportMetric(float64(cpuTime()-begun)/float64(b.N), "cpu-ns/op") }()
	for b.Loop() {
		reply := p.Handle(ex)
		if reply.Status != 200 {
			b.Fatal(reply.Status)
		}
		if err := reply.WriteBody(io.Discard, nil); err != nil {
			b.Fatal(err)
		}
		reply.Close()
	}
}

func BenchmarkFixedAnswer(b *testing.B) { bench(b, `actions = respond "hello"`, "/") }

func BenchmarkLuaHandler(b *testing.B) {
	bench(b, `actions = function(vr)
  if vr:handle_direct() then
    vr.resp.status = 200
    vr.resp.headers["Content-Type"] = "text/plain"
    vr.out:add("hello " .. vr.req.uri.path .. " on " .. vr.req.uri.host)
  end
end`, "/path")
}

// What bench/ asks of all servers in its workload lua, and the same answer without Lua.
func BenchmarkLuaWorkload(b *testing.B) {
	bench(b, `actions = function(vr)
  if vr:handle_direct() then
    local uri, headers = vr.req.uri, vr.resp.headers
    vr.resp.status = 200
    headers["Content-Type"] = "text/plain"
    headers["X-Path"] = uri.path
    vr.out:add("hello " .. uri.host .. uri.path)
  end
end`, "/path")
}

func BenchmarkLuaWorkloadNative(b *testing.B) {
	bench(b, `actions = { respond(200, "hello %{req.host}%{req.path}"), header.overwrite("Content-Type", "text/plain"), header.add("X-Path", "%{req.path}") }`, "/path")
}

// A filter that hands everything on, and what a request needs to have one.
func BenchmarkLuaFilter(b *testing.B) {
	bench(b, `local Pass = {}; Pass.__index = Pass
function Pass:new(vr) return setmetatable({}, self) end
function Pass:handle(vr, outq, inq) outq:steal_all(inq); outq.is_closed = inq.is_closed end
actions = { respond "hello", lighty.filter_out(Pass) }`, "/")
}

func BenchmarkConditions(b *testing.B) {
	bench(b, `local l = {}
for i = 1, 100 do l[i] = when(request.path:prefix("/p" .. i .. "/"), { respond(404) }) end
l[101] = respond "hello"
actions = l`, "/x")
}
