package server

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"

	"luaserve/runtime"
)

// listener is an open listener with the address as the script or the flag has it.
type listener struct {
	net.Listener
	text string
	want atomic.Pointer[manner] // as the site in force has it
}

// manner is how a site wants to be reached at an address.
type manner struct {
	runtime.Listener
	proxying runtime.Proxying
}

// bound is a listener and what a site wants of it.
type bound struct {
	*listener
	want manner
}

// errNoAddress is a site that could never be reached.
var errNoAddress = errors.New(`no address to listen on: the script has no setup.listen "127.0.0.1:8080", and none was given with --listen`)

// bind returns the listeners that a site wants: open ones are kept, the others opened.
// After an error none of those is open.
func (s *Server) bind(next site) ([]bound, error) {
	wanted := s.wanted(next)
	if len(wanted) == 0 {
		return nil, errNoAddress
	}
	var all []bound
	var opened []*listener
	for _, want := range wanted {
		if i := slices.IndexFunc(s.listeners, func(l *listener) bool { return l.text == want.Address }); i >= 0 {
			all = append(all, bound{s.listeners[i], want})
			continue
		}
		l, err := listen(want.Address)
		if err != nil {
			closeAll(opened)
			return nil, listenError(want.Address, err)
		}
		opened = append(opened, &listener{Listener: l, text: want.Address})
		all = append(all, bound{opened[len(opened)-1], want})
	}
	return all, nil
}

// wanted returns where to listen and how, each address once.
func (s *Server) wanted(next site) []manner {
	listeners := next.Listeners()
	if len(s.cfg.Listen) > 0 {
		listeners = nil
		for _, text := range s.cfg.Listen {
			if l := (runtime.Listener{Address: text}); !slices.Contains(listeners, l) {
				listeners = append(listeners, l)
			}
		}
	}
	all := make([]manner, len(listeners))
	for i, l := range listeners {
		all[i] = manner{l, next.Proxying()}
	}
	return all
}

// replaceListeners puts the result of bind in force.
func (s *Server) replaceListeners(next []bound) {
	before := s.listeners
	s.listeners = nil
	for _, b := range next {
		b.listener.want.Store(&b.want)
		s.listeners = append(s.listeners, b.listener)
		if s.serving && !slices.Contains(before, b.listener) {
			s.log.Info("listening", "address", b.text)
			go s.accept(b.listener)
		}
	}
	for _, l := range before {
		if !slices.Contains(s.listeners, l) {
			s.log.Info("no longer listening", "address", l.text)
			l.Close()
		}
	}
}

func closeAll(listeners []*listener) {
	for _, l := range listeners {
		l.Close()
	}
}

func listen(text string) (net.Listener, error) {
	network, addr, err := parseAddress(text)
	if err != nil {
		return nil, err
	}
	if network == "unix" {
		if err := removeStale(addr); err != nil {
			return nil, err
		}
	}
	return net.Listen(network, addr)
}

// parseAddress returns what [net.Listen] takes. Without a port it is port 80.
func parseAddress(text string) (network, addr string, err error) {
	if path, ok := strings.CutPrefix(text, "unix:"); ok {
		if path == "" {
			return "", "", errors.New("expected a path behind \"unix:\"")
		}
		return "unix", path, nil
	}
	host, port, err := net.SplitHostPort(text)
	if err != nil {
		host, port = strings.TrimSuffix(strings.TrimPrefix(text, "["), "]"), "80"
		if host == "" || strings.Contains(host, ":") && net.ParseIP(host) == nil {
			return "", "", errors.New("expected host:port or unix:/path")
		}
	}
	if n, err := strconv.Atoi(port); err != nil || n < 0 || n > 65535 {
		return "", "", errors.New("the port must be a number up to 65535")
	}
	return "tcp", net.JoinHostPort(host, port), nil
}

// removeStale removes a socket that a server has left behind: nobody answers on it.
func removeStale(path string) error {
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if info.Mode().Type() != fs.ModeSocket {
		return errors.New("there is a file at that path, and it is no socket")
	}
	conn, err := net.Dial("unix", path)
	if err == nil {
		conn.Close()
		return syscall.EADDRINUSE
	}
	if !errors.Is(err, syscall.ECONNREFUSED) {
		return err
	}
	return os.Remove(path)
}

// listenError says which address was refused and why, without the names of system calls.
func listenError(text string, err error) error {
	var call *os.SyscallError
	var op *net.OpError
	switch {
	case errors.As(err, &call):
		err = call.Err
	case errors.As(err, &op):
		err = op.Err
	}
	return fmt.Errorf("listen %s: %w", text, err)
}
