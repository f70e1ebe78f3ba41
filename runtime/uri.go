package runtime

import (
	"errors"
	"net/netip"
	"strings"
)

// URI is the address of a request, taken apart as lighttpd2 does.
type URI struct {
	Raw         string // the request target as received, or the result of a rewrite
	RawPath     string // path and query, not decoded
	RawOrigPath string // RawPath before any rewrite
	Scheme      string // "http" or "https"
	Authority   string // the Host header or the authority of an absolute target, in lower case
	Path        string // decoded and simplified, always begins with "/"
	Query       string // without "?", not decoded
	Host        string // without user, port and trailing dots
}

// ErrBadTarget and ErrBadHost say why a request is answered with 400.
var (
	ErrBadTarget = errors.New("invalid request target")
	ErrBadHost   = errors.New("invalid host")
)

// ParseTarget reads a request target (RFC 9112, 3.2) and a Host field into u.
// scheme is that of the connection; an absolute target does not change it, because the
// client chooses that one (lighttpd2).
func (u *URI) ParseTarget(target, host, scheme string) error {
	if isPlainTarget(target) { // which spares the usual request all that follows
		if name, ok := plainHost(host); ok {
			*u = URI{Raw: target, RawPath: target, RawOrigPath: target, Path: target, Scheme: scheme, Authority: host, Host: name}
			return nil
		}
	}
	return u.parseTarget(target, host, scheme)
}

// parseTarget is ParseTarget for any target.
func (u *URI) parseTarget(target, host, scheme string) error {
	*u = URI{Raw: target, RawPath: target, Scheme: scheme}
	authority := host
	if rest, ok := cutScheme(target); ok {
		slash := strings.IndexByte(rest, '/')
		if slash <= 0 {
			return ErrBadTarget
		}
		authority, u.RawPath = rest[:slash], rest[slash:]
		if i := strings.LastIndexByte(authority, '@'); i >= 0 && strings.ContainsAny(authority[:i], "/?#@ ") {
			return ErrBadTarget
		}
	} else if strings.IndexByte(host, '@') >= 0 {
		return ErrBadHost // user information has no place in a Host field (RFC 9110, 7.2)
	}
	if u.RawPath != "*" && !strings.HasPrefix(u.RawPath, "/") {
		return ErrBadTarget
	}
	for i := 0; i < len(u.RawPath); i++ {
		if c := u.RawPath[i]; c <= ' ' || c >= 0x7f || c == '#' {
			return ErrBadTarget
		}
	}
	u.RawOrigPath = u.RawPath
	if err := u.SetAuthority(authority); err != nil {
		return err
	}
	u.splitRawPath()
	return nil
}

// isPlainTarget reports whether a target is a path that stays as it is when it is decoded and
// simplified, without a query.
func isPlainTarget(s string) bool {
	if len(s) == 0 || s[0] != '/' {
		return false
	}
	for i := 1; i < len(s); i++ {
		switch c := s[i]; {
		case c <= ' ', c >= 0x7f, c == '#', c == '%', c == '?':
			return false
		case s[i-1] == '/' && (c == '/' || c == '.'):
			return false
		}
	}
	return true
}

func cutScheme(target string) (rest string, ok bool) {
	for _, s := range [...]string{"http", "https"} {
		if len(target) > len(s)+3 && strings.EqualFold(target[:len(s)], s) && target[len(s):len(s)+3] == "://" {
			return target[len(s)+3:], true
		}
	}
	return "", false
}

// SetRawPath replaces path and query by an undecoded path (with or without a query)
// and derives Path and Query from it. Bytes that may not stand in a target are encoded.
func (u *URI) SetRawPath(raw string) {
	raw = encodeUnsafe(raw)
	if !strings.HasPrefix(raw, "/") {
		raw = "/" + raw
	}
	u.Raw, u.RawPath = raw, raw
	u.splitRawPath()
}

// SetPath replaces the decoded path (and the query when query is not nil) and derives the raw forms.
func (u *URI) SetPath(path string, query *string) {
	u.Path = SimplifyPath(path)
	if query != nil {
		u.Query = encodeUnsafe(*query)
	}
	u.RawPath = EncodePath(u.Path)
	if u.Query != "" {
		u.RawPath += "?" + u.Query
	}
	u.Raw = u.RawPath
}

// SetAuthority checks and sets the authority and derives Host. An empty one is allowed
// (HTTP/1.0 requests need none).
func (u *URI) SetAuthority(authority string) error {
	authority = strings.ToLower(authority)
	host, err := hostOf(authority)
	if err != nil {
		return err
	}
	u.Authority, u.Host = authority, host
	return nil
}

func (u *URI) splitRawPath() {
	path, query, _ := strings.Cut(u.RawPath, "?")
	u.Query = query
	u.Path = SimplifyPath(DecodePath(path))
}

// hostOf cuts user and port off and refuses what cannot be a host name: a name that is
// used in a docroot must not be "..", nor contain a slash.
func hostOf(authority string) (string, error) {
	host := authority
	if i := strings.LastIndexByte(host, '@'); i >= 0 {
		host = host[i+1:]
	}
	port := ""
	if strings.HasPrefix(host, "[") {
		end := strings.IndexByte(host, ']')
		if end < 0 {
			return "", ErrBadHost
		}
		if a, err := netip.ParseAddr(host[1:end]); err != nil || !a.Is6() || a.Zone() != "" {
			return "", ErrBadHost
		}
		host, port = host[:end+1], host[end+1:]
	} else if i := strings.IndexByte(host, ':'); i >= 0 {
		host, port = host[:i], host[i:]
	}
	if port != "" && !validPort(port) {
		return "", ErrBadHost
	}
	if strings.HasPrefix(host, "[") {
		return host, nil
	}
	if !validHostName(host) {
		return "", ErrBadHost
	}
	host = strings.TrimRight(host, ".")
	if host == "" && authority != "" {
		return "", ErrBadHost
	}
	return host, nil
}

// validHostName accepts a reg-name (RFC 3986, 3.2.2); "%" only before two hex digits.
func validHostName(host string) bool {
	emptyLabel := false
	for i := 0; i < len(host); i++ {
		switch c := host[i]; {
		case !hostBytes[c], c == '%' && (i+2 >= len(host) || !isHex(host[i+1]) || !isHex(host[i+2])):
			return false
		case c == '.' && i > 0 && host[i-1] == '.':
			emptyLabel = true
		}
	}
	return !emptyLabel || strings.Trim(host, ".") != "" && !strings.HasPrefix(host, "..")
}

// plainHost returns the host name of an authority that is one in lower case, as it is nearly
// always: a name or an address with single dots between its parts, and perhaps a port.
func plainHost(s string) (name string, ok bool) {
	before := byte('.')
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == ':':
			return s[:i], before != '.' && validPort(s[i:])
		case !plainBytes[c], c == '.' && before == '.':
			return "", false
		default:
			before = c
		}
	}
	return s, before != '.'
}

// plainBytes are the bytes of most host names.
var plainBytes = func() (set [256]bool) {
	for _, c := range []byte("abcdefghijklmnopqrstuvwxyz0123456789-.") {
		set[c] = true
	}
	return set
}()

// hostBytes are the bytes of a host name.
var hostBytes = func() (set [256]bool) {
	for c := byte('!'); c < 0x7f; c++ {
		set[c] = strings.IndexByte(`/\?#@:<>"[]^|{}`+"`", c) < 0
	}
	return set
}()

func validPort(port string) bool {
	if len(port) < 2 || len(port) > 6 || port[0] != ':' {
		return false
	}
	for _, c := range port[1:] {
		if c < '0' || c > '9' {
			return false
		}
	}
	return true
}

// DecodePath decodes percent escapes once. Control characters become "_", so that a
// decoded path never contains NUL or a line break. An escape with other digits than
// hexadecimal ones is left out, an incomplete one at the end stays (lighttpd2).
func DecodePath(s string) string {
	clean := true
	for i := 0; i < len(s); i++ {
		if s[i] == '%' || isControl(s[i]) {
			clean = false
			break
		}
	}
	if clean {
		return s
	}
	out := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c == '%' && i+2 < len(s) {
			i += 2
			if !isHex(s[i-1]) || !isHex(s[i]) {
				continue
			}
			c = unhex(s[i-1])<<4 | unhex(s[i])
		}
		if isControl(c) {
			c = '_'
		}
		out = append(out, c)
	}
	return string(out)
}

// EncodePath percent-encodes everything but letters, digits and "-._!*()/", as
// lighttpd2's %{enc:…} does (lower-case hex).
func EncodePath(s string) string { return encode(s, false) }

// encodeUnsafe encodes only the bytes that may not stand in a request target at all.
func encodeUnsafe(s string) string { return encode(s, true) }

func encode(s string, onlyUnsafe bool) string {
	n := 0
	for i := 0; i < len(s); i++ {
		if mustEncode(s[i], onlyUnsafe) {
			n++
		}
	}
	if n == 0 {
		return s
	}
	const digits = "0123456789abcdef"
	out := make([]byte, 0, len(s)+2*n)
	for i := 0; i < len(s); i++ {
		if c := s[i]; mustEncode(c, onlyUnsafe) {
			out = append(out, '%', digits[c>>4], digits[c&15])
		} else {
			out = append(out, c)
		}
	}
	return string(out)
}

func mustEncode(c byte, onlyUnsafe bool) bool {
	if onlyUnsafe {
		return c <= ' ' || c >= 0x7f || c == '#'
	}
	switch {
	case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9':
		return false
	}
	return strings.IndexByte("-._!*()/", c) < 0
}

// SimplifyPath resolves ".", ".." and empty segments; the result begins with "/" and
// never climbs above it (lighttpd2, li_path_simplify).
func SimplifyPath(s string) string {
	if isSimple(s) {
		return s
	}
	segments := strings.Split(s, "/")
	kept := make([]string, 0, len(segments))
	for _, seg := range segments {
		switch seg {
		case "", ".":
		case "..":
			if len(kept) > 0 {
				kept = kept[:len(kept)-1]
			}
		default:
			kept = append(kept, seg)
		}
	}
	out := "/" + strings.Join(kept, "/")
	switch segments[len(segments)-1] {
	case "", ".", "..":
		if len(kept) > 0 {
			out += "/"
		}
	}
	return out
}

// isSimple spares the common path the work: it begins with "/" and no segment is empty or starts with a dot.
func isSimple(s string) bool {
	if len(s) == 0 || s[0] != '/' {
		return false
	}
	for i := 1; i < len(s); i++ {
		if s[i-1] == '/' && (s[i] == '/' || s[i] == '.') {
			return false
		}
	}
	return true
}

func isControl(c byte) bool { return c < ' ' || c == 0x7f }

func isHex(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'f' || c >= 'A' && c <= 'F'
}

func unhex(c byte) byte {
	switch {
	case c <= '9':
		return c - '0'
	case c <= 'F':
		return c - 'A' + 10
	}
	return c - 'a' + 10
}
