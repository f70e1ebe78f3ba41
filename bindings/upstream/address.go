package upstream

import (
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
)

// maxUnixPath is the longest path that fits a socket address of Linux, in bytes.
const maxUnixPath = 107

// ParseAddress splits the address of a backend into the network and the address that
// net.Dial takes. It knows "unix:PATH", where a relative path is seen from the working
// directory, and "HOST:PORT" with a name, an IPv4 address or an IPv6 address in brackets and
// a port from 1 to 65535. It does not look names up.
func ParseAddress(s string) (network, address string, err error) {
	if s == "" {
		return "", "", errors.New(`the backend address is empty; expected "unix:/path" or "host:port"`)
	}
	if path, ok := strings.CutPrefix(s, "unix:"); ok {
		switch {
		case path == "":
			return "", "", fmt.Errorf("backend address %q has no path; expected \"unix:/path\"", s)
		case strings.IndexByte(path, 0) >= 0:
			return "", "", fmt.Errorf("backend address %q: the path contains a NUL byte", s)
		case len(path) > maxUnixPath:
			return "", "", fmt.Errorf("backend address %q: the path has %d bytes, a socket takes %d at most",
				s, len(path), maxUnixPath)
		}
		return "unix", path, nil
	}
	if strings.ContainsRune(s, '/') {
		return "", "", fmt.Errorf("backend address %q looks like a path; write \"unix:%s\"", s, s)
	}
	host, port, err := net.SplitHostPort(s)
	if err != nil {
		reason := err.Error()
		if ae, ok := errors.AsType[*net.AddrError](err); ok {
			reason = ae.Err
		}
		return "", "", fmt.Errorf("backend address %q: %s; expected \"host:port\"", s, reason)
	}
	if host == "" {
		return "", "", fmt.Errorf("backend address %q: missing host; expected \"host:port\"", s)
	}
	if port == "" {
		return "", "", fmt.Errorf("backend address %q: missing port; expected \"host:port\"", s)
	}
	n, err := strconv.ParseUint(port, 10, 64)
	if err != nil && !errors.Is(err, strconv.ErrRange) {
		return "", "", fmt.Errorf("backend address %q: port %q is not a number", s, port)
	}
	if err != nil || n < 1 || n > 65535 {
		return "", "", fmt.Errorf("backend address %q: port %s is not between 1 and 65535", s, port)
	}
	return "tcp", s, nil
}
