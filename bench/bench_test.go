package main

import (
	"context"
	"io"
	goruntime "runtime"
	"strings"
	"testing"
	"time"
)

// few is a driver that sends five requests and verifies their answers.
func few(ctx context.Context, addr string, ask exchange, _ time.Duration) (load, error) {
	for range 5 {
		if err := ask.verify(ctx, addr); err != nil {
			return load{}, err
		}
	}
	return load{requests: 5, elapsed: time.Second, p99: time.Millisecond}, nil
}

// newBench builds the programs, with luaserve as the only server.
func newBench(t *testing.T) bench {
	t.Helper()
	if goruntime.GOOS != "linux" {
		t.Skip("it reads /proc")
	}
	tmp := t.TempDir()
	if err := build(t.Context(), tmp); err != nil {
		t.Fatal(err)
	}
	return bench{settings: settings{Rounds: 1, Duration: time.Second, Connections: 2, Workers: 2},
		servers: peers(tmp + "/luaserve")[:1], drive: few, log: io.Discard, tmp: tmp}
}

func TestLuaserveOnAllWorkloads(t *testing.T) {
	b := newBench(t)
	results, err := b.run(t.Context(), workloads())
	if err != nil {
		t.Fatal(err)
	}
	if len(results) != len(workloads()) {
		t.Fatalf("expected %d results, got %d", len(workloads()), len(results))
	}
	for _, r := range results {
		if len(r.Samples) != 1 || r.Samples[0].Requests != 5 || r.PeakRSS == 0 {
			t.Errorf("%s: got %+v", r.Workload, r)
		}
	}
	v, err := b.servers[0].printVersion()
	if err != nil || !strings.HasPrefix(v, "luaserve ") {
		t.Errorf("version: got %q, %v", v, err)
	}
}

func TestServersThatCannotBeMeasured(t *testing.T) {
	b := newBench(t)
	for name, c := range map[string]struct{ script, want string }{
		"body":   {`actions = respond "hello, World"`, `luaserve: GET / of bench.example: expected the 12 bytes "hello, world", got the 12 bytes "hello, World"`},
		"status": {`actions = respond(201, "hello, world")`, "expected status 200, got 201"},
		"script": {`actions = respnd "x"`, `unknown action "respnd"`},
	} {
		t.Run(name, func(t *testing.T) {
			b.servers[0].configure = func(s site) ([]string, error) {
				file, err := s.write("site.lua", "setup.listen '"+s.addr+"'\n"+c.script)
				return []string{"run", file}, err
			}
			if _, err := b.workload(t.Context(), workloads()[0]); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got error %v, expected %q", err, c.want)
			}
		})
	}
	b.servers[0].configure = func(site) ([]string, error) { return nil, unsupported("cannot do it") }
	results, err := b.workload(t.Context(), workloads()[0])
	if err != nil || len(results) != 1 || results[0].Missing != "cannot do it" {
		t.Errorf("got %+v, %v", results, err)
	}
}

func TestSelectWorkloads(t *testing.T) {
	list, err := selectWorkloads("^(lua|prefix-10)$")
	if err != nil || len(list) != 2 || list[0].Name != "lua" || list[1].Name != "prefix-10" {
		t.Errorf("got %v, %v", list, err)
	}
	for only, want := range map[string]string{"nothing": "matches none of fixed, close, lua, static-1k", "(": "missing closing )"} {
		if _, err := selectWorkloads(only); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got error %v, expected %q", only, err, want)
		}
	}
}

func TestSelectServers(t *testing.T) {
	known := []server{{name: "luaserve", program: "go"}, {name: "nginx", program: "no-such-program"}}
	list, err := selectServers(known, "")
	if err != nil || len(list) != 1 || !strings.HasSuffix(list[0].program, "/go") {
		t.Errorf("all that are installed: got %+v, %v", list, err)
	}
	for names, want := range map[string]string{"luaserve,nginx": "no-such-program", "luaserv": "expected some of luaserve"} {
		if _, err := selectServers(known, names); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got error %v, expected %q", names, err, want)
		}
	}
}

func TestOptions(t *testing.T) {
	good := options{settings: settings{Rounds: 1, Duration: 2 * time.Second, Connections: 2, Workers: 2}}
	if err := good.check(); err != nil {
		t.Error(err)
	}
	for want, change := range map[string]func(*options){
		"rounds, workers":        func(o *options) { o.Rounds = 0 },
		"expected whole seconds": func(o *options) { o.Duration = 1500 * time.Millisecond },
		"connections":            func(o *options) { o.Connections = 1 },
	} {
		o := good
		change(&o)
		if err := o.check(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got error %v, expected %q", err, want)
		}
	}
}
