package bindings

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os/user"
	"strconv"
	"strings"

	"luaserve/runtime"
)

func listenSetup() runtime.Setup {
	return runtime.Setup{Name: "listen", Run: setupListen,
		Doc: `Listens on an address: "127.0.0.1:8080", "[::1]:8080", "unix:/run/site.sock"; without a port it is port 80. ` +
			`"systemd:" are all sockets that systemd has opened for the server (socket activation), "systemd:web" those with FileDescriptorName=web. ` +
			`The file of a unix socket is removed at the end; one that is there already is replaced if nobody answers on it.`,
		Example: `setup.listen { "127.0.0.1:8080", { address = "unix:/run/site.sock", mode = "0660" } }`,
		Params: []runtime.Param{{Name: "address", Type: runtime.TExact,
			Doc: "an address, a table, or a list of these", Instead: "string|string[]|table[]", Options: describeOptions(listenOptions, &listenerSetup{})}}}
}

// listenOptions are those of an address that is given as a table.
var listenOptions = []option[listenerSetup]{
	needed(stringOption("address", `"127.0.0.1:8080", "[::1]:8080", "unix:/path" or "systemd:name"`, func(l *listenerSetup) *string { return &l.Address })),
	{name: "mode", typ: "string", doc: `who may connect to a unix socket, in octal digits: "0660"; by default that is up to the umask`, set: setSocketMode},
	{name: "owner", typ: "string|integer", doc: "name or number of the user who owns it", set: setSocketOwner},
	{name: "group", typ: "string|integer", doc: "name or number of its group", set: setSocketGroup},
}

// listenerSetup is what a script says of one address.
type listenerSetup struct {
	runtime.Listener
	file runtime.SocketFile
}

func setupListen(b *runtime.Builder, args runtime.Args) error {
	listeners, err := readListeners(args.Value(0))
	if err != nil {
		return err
	}
	for _, l := range listeners {
		if err := b.Listen(l); err != nil {
			return err
		}
	}
	return nil
}

// readListeners reads an address, a table, or a list of these.
func readListeners(v runtime.Value) ([]runtime.Listener, error) {
	if addr, ok := v.Str(); ok {
		l := runtime.Listener{Address: addr}
		return []runtime.Listener{l}, checkListenAddress(addr)
	}
	if v.IsHash() {
		l, err := readListener(v)
		return []runtime.Listener{l}, err
	}
	items, ok := v.List()
	if !ok {
		return nil, fmt.Errorf("expected an address or a list of them, got %s", v.Kind())
	}
	var all []runtime.Listener
	for _, item := range items {
		some, err := readListeners(item)
		if err != nil {
			return nil, err
		}
		all = append(all, some...)
	}
	return all, nil
}

func readListener(v runtime.Value) (runtime.Listener, error) {
	pairs, _ := v.Pairs()
	l := listenerSetup{file: runtime.SocketFile{UID: -1, GID: -1}}
	if err := readOptions(&l, listenOptions, pairs); err != nil {
		return l.Listener, err
	}
	if err := checkListenAddress(l.Address); err != nil {
		return l.Listener, fmt.Errorf("address: %w", err)
	}
	if l.file != (runtime.SocketFile{UID: -1, GID: -1}) {
		if path, ok := strings.CutPrefix(l.Address, "unix:"); !ok || strings.HasPrefix(path, "@") {
			return l.Listener, errors.New("mode, owner and group are for unix:/path only")
		}
		l.Socket = &l.file
	}
	return l.Listener, nil
}

func checkListenAddress(addr string) error {
	if path, ok := strings.CutPrefix(addr, "unix:"); ok {
		if path == "" {
			return fmt.Errorf("unix: needs a path, for example unix:/run/site.sock")
		}
		return nil
	}
	if strings.HasPrefix(addr, "systemd:") {
		return nil
	}
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		host, port = strings.Trim(addr, "[]"), "80"
	}
	if n, err := strconv.Atoi(port); err != nil || n < 0 || n > 65535 {
		return fmt.Errorf("%q: the port must be a number up to 65535", addr)
	}
	if host != "" && net.ParseIP(host) == nil && host != "localhost" || addr == "" {
		return fmt.Errorf("%q is no address to listen on; expected 127.0.0.1:8080, [::1]:8080, unix:/path or systemd:name", addr)
	}
	return nil
}

func setSocketMode(l *listenerSetup, v runtime.Value) error {
	text, _ := v.Str()
	mode, err := strconv.ParseUint(text, 8, 32)
	if err != nil || mode == 0 || mode > 0o777 {
		return fmt.Errorf(`expected octal digits in quotes, for example "0660", got %s`, v)
	}
	l.file.Mode = fs.FileMode(mode)
	return nil
}

func setSocketOwner(l *listenerSetup, v runtime.Value) (err error) {
	l.file.UID, err = accountID(v, func(name string) (string, error) {
		u, err := user.Lookup(name)
		if err != nil {
			return "", err
		}
		return u.Uid, nil
	})
	return err
}

func setSocketGroup(l *listenerSetup, v runtime.Value) (err error) {
	l.file.GID, err = accountID(v, func(name string) (string, error) {
		g, err := user.LookupGroup(name)
		if err != nil {
			return "", err
		}
		return g.Gid, nil
	})
	return err
}

// accountID returns the number of a user or a group, which may be given itself.
func accountID(v runtime.Value, find func(name string) (string, error)) (int, error) {
	if n, ok := v.Int(); ok && n >= 0 && n < 1<<31 {
		return int(n), nil
	}
	name, ok := v.Str()
	if !ok {
		return -1, fmt.Errorf("expected a name or a number, got %s", v)
	}
	text, err := find(name)
	if err != nil {
		return -1, errors.New(strings.TrimPrefix(strings.TrimPrefix(err.Error(), "user: "), "group: "))
	}
	return strconv.Atoi(text)
}
