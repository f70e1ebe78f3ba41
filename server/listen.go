package server

import (
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"

	"luaserve/runtime"
)

// listener is an open listener with the address as the script or the flag has it.
type listener struct {
	net.Listener              // accepts what http1 can serve with the least effort
	forTLS       net.Listener // the same one, as the system has it
	text         string
	want         atomic.Pointer[manner] // as the site in force has it
}

func (s *Server) newListener(l net.Listener, text string) *listener {
	return &listener{Listener: s.http1.Listener(l), forTLS: l, text: text}
}

// Accept implements net.Listener.
func (l *listener) Accept() (net.Conn, error) {
	if l.want.Load().TLS != nil {
		return l.forTLS.Accept()
	}
	return l.Listener.Accept()
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
func (s *Server) bind(next site) (all []bound, err error) {
	wanted := s.wanted(next)
	if len(wanted) == 0 {
		return nil, errNoAddress
	}
	var opened []*listener
	defer func() {
		if err != nil {
			closeAll(opened)
		}
	}()
	for _, want := range wanted {
		var some []*listener
		for _, l := range s.listeners {
			if l.text == want.Address {
				some = append(some, l)
			}
		}
		if len(some) == 0 {
			if some, err = s.listen(want.Listener); err != nil {
				return nil, listenError(want.Address, err)
			}
			opened = append(opened, some...)
		}
		for _, l := range some {
			all = append(all, bound{l, want})
		}
	}
	for _, b := range all {
		if err := own(strings.TrimPrefix(b.text, "unix:"), b.want.Socket); err != nil {
			return nil, listenError(b.text, err)
		}
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

// listen opens the listeners of an address: one, or as many as were opened for the server.
func (s *Server) listen(want runtime.Listener) ([]*listener, error) {
	if name, ok := strings.CutPrefix(want.Address, "systemd:"); ok {
		return s.inherited(want.Address, name)
	}
	network, addr, err := parseAddress(want.Address)
	if err != nil {
		return nil, err
	}
	var l net.Listener
	if network == "unix" {
		l, err = listenUnix(addr, want.Socket)
	} else {
		l, err = net.Listen(network, addr)
	}
	if err != nil {
		return nil, err
	}
	return []*listener{s.newListener(l, want.Address)}, nil
}

// inherited returns listeners for the sockets of a name that were opened for the server, all
// of them when name is "". The sockets themselves stay open, for a later reload.
func (s *Server) inherited(text, name string) ([]*listener, error) {
	var all []*listener
	var names []string
	for _, f := range s.cfg.Sockets {
		names = append(names, f.Name())
		if name != "" && name != f.Name() {
			continue
		}
		l, err := net.FileListener(f)
		if err != nil {
			closeAll(all)
			return nil, err
		}
		all = append(all, s.newListener(l, text))
	}
	switch {
	case len(names) == 0:
		return nil, errors.New("no sockets were opened for the server (LISTEN_FDS): is there a .socket unit?")
	case len(all) == 0:
		return nil, fmt.Errorf("no socket of that name was opened for the server; there are %q", names)
	}
	return all, nil
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
			return "", "", errors.New("expected host:port, unix:/path or systemd:name")
		}
	}
	if n, err := strconv.Atoi(port); err != nil || n < 0 || n > 65535 {
		return "", "", errors.New("the port must be a number up to 65535")
	}
	return "tcp", net.JoinHostPort(host, port), nil
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
