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
	"syscall"
)

// listener is an open listener with the address as the script or the flag has it.
type listener struct {
	net.Listener
	text string
}

// errNoAddress is a site that could never be reached.
var errNoAddress = errors.New(`no address to listen on: the script has no setup.listen "127.0.0.1:8080", and none was given with --listen`)

// bind returns the listeners that a site wants: open ones are kept, the others opened.
// After an error none of those is open.
func (s *Server) bind(next site) ([]*listener, error) {
	wanted := s.cfg.Listen
	if len(wanted) == 0 {
		wanted = next.Addresses()
	}
	if len(wanted) == 0 {
		return nil, errNoAddress
	}
	var all, opened []*listener
	for _, text := range wanted {
		same := func(l *listener) bool { return l.text == text }
		if slices.ContainsFunc(all, same) {
			continue
		}
		if i := slices.IndexFunc(s.listeners, same); i >= 0 {
			all = append(all, s.listeners[i])
			continue
		}
		l, err := listen(text)
		if err != nil {
			closeAll(opened)
			return nil, listenError(text, err)
		}
		opened = append(opened, &listener{l, text})
		all = append(all, opened[len(opened)-1])
	}
	return all, nil
}

// replaceListeners puts the result of bind in force.
func (s *Server) replaceListeners(next []*listener) {
	before := s.listeners
	s.listeners = next
	for _, l := range next {
		if s.serving && !slices.Contains(before, l) {
			s.log.Info("listening", "address", l.text)
			go s.accept(l)
		}
	}
	for _, l := range before {
		if !slices.Contains(next, l) {
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
