package bindings

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"luaserve/bindings/upstream"
	"luaserve/runtime"
)

// backendParam is the one argument of the actions that hand requests to a backend.
func backendParam(options []option[backendOptions]) []runtime.Param {
	return []runtime.Param{{Name: "socket", Type: runtime.TExact, Instead: "string", Options: describeOptions(options, newBackendOptions()),
		Doc: `"unix:/path" or "host:port", or a table of options`}}
}

// backendOptions is what a script says of a backend.
type backendOptions struct {
	upstream.Config
	socket    string
	keepAlive bool
	additions []environmentEntry // fastcgi and scgi
	upgrades  []string           // proxy
}

func newBackendOptions() *backendOptions {
	return &backendOptions{Config: upstream.Config{}.WithDefaults(), keepAlive: true, upgrades: []string{"websocket"}}
}

const longestTimeout = 24 * time.Hour

// commonBackendOptions are those of every backend.
var commonBackendOptions = []option[backendOptions]{
	needed(stringOption("socket", `"unix:/path" or "host:port"`, func(o *backendOptions) *string { return &o.socket })),
	secondsOption("connect_timeout", "seconds that connecting may take", func(o *backendOptions) *time.Duration { return &o.ConnectTimeout }, time.Millisecond, longestTimeout),
	secondsOption("send_timeout", "seconds in which the backend must take the next bytes", func(o *backendOptions) *time.Duration { return &o.SendTimeout }, time.Millisecond, longestTimeout),
	secondsOption("read_timeout", "seconds in which the backend must give the next bytes", func(o *backendOptions) *time.Duration { return &o.ReadTimeout }, time.Millisecond, longestTimeout),
	boolOption("keep_alive", "whether connections are kept for later requests", func(o *backendOptions) *bool { return &o.keepAlive }),
	numberOption("idle_connections", "how many connections are kept open", func(o *backendOptions) *int { return &o.MaxIdle }, 0, 100_000),
	secondsOption("idle_time", "seconds that a connection is kept open without a request", func(o *backendOptions) *time.Duration { return &o.IdleTime }, time.Millisecond, longestTimeout),
	numberOption("max_head_bytes", "limit of a response head", func(o *backendOptions) *int { return &o.MaxHeadBytes }, 1<<10, 16<<20),
}

// BackendDialer is the key under which tests put a function into [runtime.Config.Values] that
// connects to backends: func(ctx context.Context, network, address string) (net.Conn, error).
type BackendDialer struct{}

// readBackend reads the argument of such an action: an address, or a table of options.
func readBackend(b *runtime.Builder, v runtime.Value, options []option[backendOptions]) (*backendOptions, error) {
	o := newBackendOptions()
	o.Connect, _ = b.Value(BackendDialer{}).(func(context.Context, string, string) (net.Conn, error))
	if items, ok := v.List(); ok && len(items) == 1 {
		v = items[0]
	}
	if address, ok := v.Str(); ok {
		o.socket = address
		return o, o.setAddress(b)
	}
	pairs, ok := v.Pairs()
	if !ok {
		return nil, fmt.Errorf("socket: expected an address or a table of options, got %s", v.Kind())
	}
	if err := readOptions(o, options, pairs); err != nil {
		return nil, err
	}
	o.DisableKeepAlive = !o.keepAlive
	if o.MaxIdle == 0 {
		o.MaxIdle = -1 // none; 0 is the default there
	}
	return o, o.setAddress(b)
}

// setAddress reads the address of a backend. A unix socket that an untrusted script names lies
// in its directory.
func (o *backendOptions) setAddress(b *runtime.Builder) (err error) {
	o.Network, o.Address, err = upstream.ParseAddress(o.socket)
	if err == nil && o.Network == "unix" {
		o.Within, err = socketWithin(b, o.Address)
	}
	return err
}

// socketWithin returns the directory that a unix socket must lie in, "" when it may be anywhere.
func socketWithin(b *runtime.Builder, path string) (string, error) {
	files := b.Files()
	if err := files.Contains(path); err != nil {
		return "", err
	}
	if files.Confined() && !upstream.CanConfine {
		return "", fmt.Errorf("%s: a socket cannot be confined to a directory on this system", path)
	}
	return files.Root, nil
}

// environmentOption takes variables that a backend gets with every request.
func environmentOption[T any](of func(*T) *[]environmentEntry) option[T] {
	return option[T]{name: "environment", typ: "table<string, string>",
		doc: "names and patterns: variables beside those of CGI, or in place of them",
		set: func(into *T, v runtime.Value) error { return readEnvironment(of(into), v) }}
}

func readEnvironment(to *[]environmentEntry, v runtime.Value) error {
	pairs, ok := v.Pairs()
	if !ok {
		return fmt.Errorf("expected a table of names and values, got %s", v)
	}
	for _, p := range pairs {
		name, isName := p.Key.Str()
		text, isText := p.Value.Str()
		if !isName || !isText || strings.IndexByte(text, 0) >= 0 {
			return fmt.Errorf("expected a name and a string, got %s = %s", p.Key, p.Value)
		}
		if err := checkVariable(name); err != nil {
			return err
		}
		value, err := runtime.ParsePattern(text)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		*to = append(*to, environmentEntry{name, value})
	}
	return nil
}

func checkVariable(name string) error {
	if name == "" || strings.ContainsAny(name, "=\x00") {
		return fmt.Errorf("expected the name of a variable, got %q", name)
	}
	return nil
}

// backendError makes the failure of a backend one that is answered as RFC 9110, 15.6, has it;
// a request body that failed has a status of its own.
func backendError(address string, err error) error {
	status := upstream.KindOf(err).Status()
	if own, ok := errors.AsType[*runtime.StatusError](err); ok {
		status = own.Status
	}
	return &runtime.StatusError{Status: status, Err: fmt.Errorf("backend %s: %w", address, err)}
}
