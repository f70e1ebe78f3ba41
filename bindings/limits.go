package bindings

import (
	"fmt"
	"time"

	"luaserve/runtime"
)

func limitsSetup() runtime.Setup {
	return runtime.Setup{Name: "limits", Run: setupLimits,
		Doc: "Sets what the server lets clients ask for, and how long it waits for them. It may be called again; entries that a call does not name stay as they are. " +
			"Connections that are open when a reload changes the limits have the new ones from their next request on.",
		Example: `setup.limits { body_bytes = 100 * 2^20, connections = 10000, connections_per_ip = 100, body_timeout = 30 }`,
		Params:  []runtime.Param{{Name: "limits", Type: runtime.TPairs, Doc: describeEntries(limitEntries())}}}
}

func ioTimeoutSetup() runtime.Setup {
	return runtime.Setup{Name: "io.timeout", Run: setupIOTimeout,
		Doc:     "Sets how long a client may make no progress while it sends a request body or takes an answer: body_timeout and write_timeout of the setup `limits`.",
		Example: "setup.io.timeout(120)",
		Params:  []runtime.Param{{Name: "timeout", Type: runtime.TNumber, Doc: "seconds, a positive number"}}}
}

func setupLimits(b *runtime.Builder, args runtime.Args) error {
	changed := *b.Limits() // all or nothing: a script may catch the error
	if err := readEntries(&changed, limitEntries(), args.Pairs(0)); err != nil {
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

// limitEntries are the entries of setup.limits.
func limitEntries() []entry[runtime.Limits] {
	return []entry[runtime.Limits]{
		countEntry("header_bytes", "length of a whole request head in bytes; beyond it the answer is 431. Over HTTP/2 each field counts 32 bytes more (RFC 9113, 10.5.1); far beyond the limit the connection ends",
			func(l *runtime.Limits) *int { return &l.HeaderBytes }),
		countEntry("header_count", "number of header fields; beyond it the answer is 431",
			func(l *runtime.Limits) *int { return &l.HeaderCount }),
		countEntry("target_bytes", "length of the request target, path and query, in bytes; beyond it the answer is 414",
			func(l *runtime.Limits) *int { return &l.TargetBytes }),
		countEntry("body_bytes", "length of a request body in bytes; beyond it the answer is 413. A body without a Content-Length is cut off there, which an application sees as a broken upload if it has it already",
			func(l *runtime.Limits) *int64 { return &l.BodyBytes }),
		countEntry("body_rate", "bytes a second that a request body must have on average, not counting the first body_timeout, and time in which nobody reads; a slower one ends as if it had stopped",
			func(l *runtime.Limits) *int64 { return &l.BodyRate }),
		countEntry("connections", "number of connections at a time, over all listeners. Those beyond it are answered with 503 and closed; with TLS they are closed at once. The log tells once a minute at most",
			func(l *runtime.Limits) *int { return &l.Connections }),
		countEntry("connections_per_ip", "the same for the connections of one address; with IPv6 for those of one network of 64 bits. Behind a load balancer that `proxy_protocol.trust` names, the client's address counts",
			func(l *runtime.Limits) *int { return &l.ConnectionsPerIP }),
		secondsEntry("header_timeout", "seconds for a whole request head; then the answer is 408. It has no effect on HTTP/2, where a client that does not end a head is cut off behind 45 seconds",
			func(l *runtime.Limits) *time.Duration { return &l.HeaderTimeout }),
		secondsEntry("body_timeout", "seconds for the next bytes of a request body while somebody reads it; then the answer is 408, or what the application makes of a broken upload",
			func(l *runtime.Limits) *time.Duration { return &l.BodyTimeout }),
		secondsEntry("write_timeout", "seconds without progress in sending an answer; then the connection is cut",
			func(l *runtime.Limits) *time.Duration { return &l.WriteTimeout }),
		secondsEntry("idle_timeout", "seconds that a connection waits for its next request; then it is closed. `keepalive.timeout` wins over it, for HTTP/1",
			func(l *runtime.Limits) *time.Duration { return &l.IdleTimeout }),
	}
}

// countEntry is an entry that takes a whole number. Its documentation ends with the default.
func countEntry[N int | int64](name, doc string, of func(*runtime.Limits) *N) entry[runtime.Limits] {
	defaults := runtime.DefaultLimits()
	if n := *of(&defaults); n > 0 {
		doc += fmt.Sprintf(" (%d)", n)
	} else {
		doc += " (no limit)"
	}
	return entry[runtime.Limits]{name, doc, false, func(l *runtime.Limits, v runtime.Value) error {
		f, ok := v.Float()
		if !ok || f < 1 || f != float64(N(f)) {
			return fmt.Errorf("expected a whole number of at least 1, got %s", v)
		}
		*of(l) = N(f)
		return nil
	}}
}

// secondsEntry is an entry that takes a time in seconds. Its documentation ends with the default.
func secondsEntry(name, doc string, of func(*runtime.Limits) *time.Duration) entry[runtime.Limits] {
	defaults := runtime.DefaultLimits()
	doc += fmt.Sprintf(" (%g)", of(&defaults).Seconds())
	return entry[runtime.Limits]{name, doc, false, func(l *runtime.Limits, v runtime.Value) (err error) {
		*of(l), err = readSeconds(v)
		return err
	}}
}

// readSeconds reads a time that somebody waits: a positive number.
func readSeconds(v runtime.Value) (time.Duration, error) {
	f, ok := v.Float()
	if !ok || !(f >= 0.001 && f <= maxKeepAlive) {
		return 0, fmt.Errorf("expected a positive number of seconds, got %s", v)
	}
	return time.Duration(f * float64(time.Second)), nil
}
