package bindings

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"strings"
	"time"

	"luaserve/bindings/upstream"
	"luaserve/runtime"
)

// backendParam is the one argument of the actions that hand requests to a backend.
func backendParam(more string) []runtime.Param {
	return []runtime.Param{{Name: "socket", Type: runtime.TExact,
		Doc: `"unix:/path" or "host:port", or a table with that as "socket" and options: "connect_timeout", "send_timeout" and "read_timeout", ` +
			`the seconds that connecting, taking and giving the next bytes may take (5, 60 and 60); ` +
			`"keep_alive", false for a new connection for every request, "idle_connections", how many are kept open (256), and "idle_time", for how many seconds (30); ` +
			`"max_head_bytes", the limit of a response head (65536)` + more}}
}

const environmentDoc = `; "environment", a table of names and patterns: variables beside those of CGI, or in place of them`

// BackendDialer is the key under which tests put a function into [runtime.Config.Values] that
// connects to backends: func(ctx context.Context, network, address string) (net.Conn, error).
type BackendDialer struct{}

// readBackend reads the argument of such an action: an address, or a table of options, of
// which more are the action's own.
func readBackend(b *runtime.Builder, v runtime.Value, more optionReaders) (config upstream.Config, socket string, err error) {
	config.Connect, _ = b.Value(BackendDialer{}).(func(context.Context, string, string) (net.Conn, error))
	if items, ok := v.List(); ok && len(items) == 1 {
		v = items[0]
	}
	if address, ok := v.Str(); ok {
		err = setAddress(b, &config, address)
		return config, address, err
	}
	options, ok := v.Pairs()
	if !ok {
		return config, "", fmt.Errorf("socket: expected an address or a table of options, got %s", v.Kind())
	}
	defaults := upstream.Config{}.WithDefaults()
	keepAlive, idle, headBytes := true, int64(defaults.MaxIdle), int64(defaults.MaxHeadBytes)
	const longest = 24 * time.Hour
	readers := optionReaders{
		"socket": func(v runtime.Value) error {
			s, ok := v.Str()
			if !ok {
				return fmt.Errorf("expected an address, got %s", v)
			}
			socket = s
			return nil
		},
		"connect-timeout":  secondsOption(&config.ConnectTimeout, time.Millisecond, longest),
		"send-timeout":     secondsOption(&config.SendTimeout, time.Millisecond, longest),
		"read-timeout":     secondsOption(&config.ReadTimeout, time.Millisecond, longest),
		"idle-time":        secondsOption(&config.IdleTime, time.Millisecond, longest),
		"idle-connections": numberOption(&idle, 0, 100_000),
		"keep-alive":       boolOption(&keepAlive),
		"max-head-bytes":   numberOption(&headBytes, 1<<10, 16<<20),
	}
	maps.Copy(readers, more)
	if err := readOptions(options, readers); err != nil {
		return config, "", err
	}
	if socket == "" {
		return config, "", errors.New(`the option "socket" is missing; expected "unix:/path" or "host:port"`)
	}
	config.MaxIdle, config.MaxHeadBytes, config.DisableKeepAlive = int(idle), int(headBytes), !keepAlive
	if idle == 0 {
		config.MaxIdle = -1
	}
	return config, socket, setAddress(b, &config, socket)
}

// setAddress reads the address of a backend. A unix socket that an untrusted script names lies
// in its directory.
func setAddress(b *runtime.Builder, config *upstream.Config, address string) (err error) {
	config.Network, config.Address, err = upstream.ParseAddress(address)
	if err == nil && config.Network == "unix" {
		config.Within, err = socketWithin(b, config.Address)
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

// environmentOption reads variables that a backend gets with every request.
func environmentOption(to *[]environmentEntry) func(runtime.Value) error {
	return func(v runtime.Value) error {
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
