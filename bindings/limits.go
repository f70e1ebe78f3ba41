package bindings

import (
	"fmt"
	"time"

	"luaserve/runtime"
)

func limitsSetup() runtime.Setup {
	return runtime.Setup{Name: "limits", Run: setupLimits,
		Doc: "Sets what the server lets clients ask for, and how long it waits for them. It may be called again; options that a call does not name stay as they are. " +
			"Connections that are open when a reload changes the limits have the new ones from their next request on.",
		Example: `setup.limits { body_bytes = 100 * 2^20, connections = 10000, connections_per_ip = 100, body_timeout = 30 }`,
		Params:  []runtime.Param{{Name: "limits", Type: runtime.TPairs, Options: describeOptions(limitOptions, new(runtime.DefaultLimits()))}}}
}

func ioTimeoutSetup() runtime.Setup {
	return runtime.Setup{Name: "io.timeout", Run: setupIOTimeout,
		Doc:     "Sets how long a client may make no progress while it sends a request body or takes an answer: body_timeout and write_timeout of the setup `limits`.",
		Example: "setup.io.timeout(120)",
		Params:  []runtime.Param{{Name: "timeout", Type: runtime.TNumber, Doc: "seconds, a positive number"}}}
}

func setupLimits(b *runtime.Builder, args runtime.Args) error {
	changed := *b.Limits() // all or nothing: a script may catch the error
	if err := readOptions(&changed, limitOptions, args.Pairs(0)); err != nil {
		return err
	}
	*b.Limits() = changed
	return nil
}

func setupIOTimeout(b *runtime.Builder, args runtime.Args) error {
	d, err := readSeconds(args.Value(0))
	if err != nil {
		return fmt.Errorf("timeout: %w", err)
	}
	b.Limits().BodyTimeout, b.Limits().WriteTimeout = d, d
	return nil
}

var limitOptions = []option[runtime.Limits]{
	limitOption("header_bytes", "length of a whole request head in bytes; beyond it the answer is 431. Over HTTP/2 each field counts 32 bytes more (RFC 9113, 10.5.1); far beyond the limit the connection ends",
		func(l *runtime.Limits) *int { return &l.HeaderBytes }),
	limitOption("header_count", "number of header fields; beyond it the answer is 431",
		func(l *runtime.Limits) *int { return &l.HeaderCount }),
	limitOption("target_bytes", "length of the request target, path and query, in bytes; beyond it the answer is 414",
		func(l *runtime.Limits) *int { return &l.TargetBytes }),
	limitOption("body_bytes", "length of a request body in bytes; beyond it the answer is 413. A body without a Content-Length is cut off there, which an application sees as a broken upload if it has it already",
		func(l *runtime.Limits) *int64 { return &l.BodyBytes }),
	limitOption("body_rate", "bytes a second that a request body must have on average, not counting the first body_timeout, and time in which nobody reads; a slower one ends as if it had stopped",
		func(l *runtime.Limits) *int64 { return &l.BodyRate }),
	limitOption("connections", "number of connections at a time, over all listeners; by default there is no limit. Those beyond it are answered with 503 and closed; with TLS they are closed at once. The log tells once a minute at most",
		func(l *runtime.Limits) *int { return &l.Connections }),
	limitOption("connections_per_ip", "number of connections at a time of one address, with IPv6 of one network of 64 bits; by default there is no limit. Behind a load balancer that `proxy_protocol.trust` names, the client's address counts",
		func(l *runtime.Limits) *int { return &l.ConnectionsPerIP }),
	waitOption("header_timeout", "seconds for a whole request head; then the answer is 408. It has no effect on HTTP/2, where a client that does not end a head is cut off behind 45 seconds",
		func(l *runtime.Limits) *time.Duration { return &l.HeaderTimeout }),
	waitOption("body_timeout", "seconds for the next bytes of a request body while somebody reads it; then the answer is 408, or what the application makes of a broken upload",
		func(l *runtime.Limits) *time.Duration { return &l.BodyTimeout }),
	waitOption("write_timeout", "seconds without progress in sending an answer; then the connection is cut",
		func(l *runtime.Limits) *time.Duration { return &l.WriteTimeout }),
	waitOption("idle_timeout", "seconds that a connection waits for its next request; then it is closed. `keepalive.timeout` wins over it, for HTTP/1",
		func(l *runtime.Limits) *time.Duration { return &l.IdleTimeout }),
}

// limitOption takes a whole number of at least 1; without it there may be no limit.
func limitOption[N int | int64](name, doc string, of func(*runtime.Limits) *N) option[runtime.Limits] {
	return option[runtime.Limits]{name: name, typ: "integer", doc: doc,
		set: func(l *runtime.Limits, v runtime.Value) error {
			f, ok := v.Float()
			if !ok || f < 1 || f != float64(N(f)) {
				return fmt.Errorf("expected a whole number of at least 1, got %s", v)
			}
			*of(l) = N(f)
			return nil
		},
		get: func(defaults *runtime.Limits) string {
			if n := *of(defaults); n > 0 {
				return fmt.Sprint(n)
			}
			return ""
		}}
}

// waitOption takes a time that somebody waits.
func waitOption(name, doc string, of func(*runtime.Limits) *time.Duration) option[runtime.Limits] {
	return option[runtime.Limits]{name: name, typ: "number", doc: doc,
		set: func(l *runtime.Limits, v runtime.Value) (err error) {
			*of(l), err = readSeconds(v)
			return err
		},
		get: func(defaults *runtime.Limits) string { return fmt.Sprint(of(defaults).Seconds()) }}
}

// readSeconds reads a time that somebody waits: a positive number.
func readSeconds(v runtime.Value) (time.Duration, error) {
	f, ok := v.Float()
	if !ok || !(f >= 0.001 && f <= maxKeepAlive) {
		return 0, fmt.Errorf("expected a positive number of seconds, got %s", v)
	}
	return time.Duration(f * float64(time.Second)), nil
}
