package bindings

import (
	"slices"
	"strconv"
	"strings"

	"luaserve/bindings/fcgi"
	"luaserve/runtime"
)

// cgiOptions are the options that the CGI environment depends on, resolved at load time.
type cgiOptions struct {
	tag, name, mangle runtime.OptionRef

	// additions are variables that the backend gets in place of those of the request.
	additions []environmentEntry
}

type environmentEntry struct {
	name  string
	value *runtime.Pattern
}

func newCGIOptions(b *runtime.Builder, additions []environmentEntry) cgiOptions {
	return cgiOptions{b.Option(runtime.OptionServerTag), b.Option("server.name"), b.Option("cgi.mangle_env_names"), additions}
}

// own returns the entries of the request's environment, and what is to take their place.
func (o cgiOptions) own(vr *runtime.VRequest) []runtime.Field {
	entries := vr.Env.Entries()
	if len(o.additions) == 0 {
		return entries
	}
	own := slices.Clone(entries)
	for _, a := range o.additions {
		field := runtime.Field{Name: a.name, Value: a.value.Eval(vr, nil)}
		if i := slices.IndexFunc(own, func(f runtime.Field) bool { return f.Name == a.name }); i >= 0 {
			own[i] = field
		} else {
			own = append(own, field)
		}
	}
	return own
}

// environment builds the meta-variables of CGI/1.1 (RFC 3875, 4.1), in lighttpd2's order.
// An entry of the request's own environment replaces the variable of that name; what is
// left of it comes last.
func (o cgiOptions) environment(vr *runtime.VRequest, contentLength int64) []fcgi.Param {
	own := o.own(vr)
	env := &cgiEnv{vr: vr, own: own, params: make([]fcgi.Param, 0, 24+vr.Request.Header.Len()+len(own)), used: make([]bool, len(own))}
	req, phys := &vr.Request, &vr.Physical
	serverName := req.URI.Host
	if serverName == "" {
		serverName = vr.Option(o.name).(string)
	}
	env.add("CONTENT_LENGTH", strconv.FormatInt(contentLength, 10))
	env.add("SERVER_SOFTWARE", vr.Option(o.tag).(string))
	env.add("SERVER_NAME", serverName)
	env.add("GATEWAY_INTERFACE", "CGI/1.1")
	if vr.Con.Local.IsValid() {
		env.add("SERVER_PORT", strconv.Itoa(int(vr.Con.Local.Port())))
		env.add("SERVER_ADDR", vr.Con.Local.Addr().String())
	}
	if vr.Con.Remote.IsValid() {
		env.add("REMOTE_PORT", strconv.Itoa(int(vr.Con.Remote.Port())))
		env.add("REMOTE_ADDR", vr.Con.Remote.Addr().String())
	}
	env.add("SCRIPT_NAME", req.URI.Path)
	env.add("PATH_INFO", phys.PathInfo)
	if phys.PathInfo != "" {
		env.add("PATH_TRANSLATED", phys.DocRoot+phys.PathInfo)
	}
	env.add("SCRIPT_FILENAME", phys.Path)
	env.add("DOCUMENT_ROOT", phys.DocRoot)
	env.add("REQUEST_URI", req.URI.RawOrigPath)
	if req.URI.RawPath != req.URI.RawOrigPath {
		env.add("REDIRECT_URI", req.URI.RawPath)
	}
	env.add("QUERY_STRING", req.URI.Query)
	env.add("REQUEST_METHOD", req.Method)
	env.add("REDIRECT_STATUS", "200") // php refuses to run without it
	env.add("SERVER_PROTOCOL", req.Version)
	if vr.Con.TLS != nil {
		env.add("HTTPS", "on")
	}
	env.add("REQUEST_SCHEME", req.URI.Scheme)
	env.addHeaders(vr.Option(o.mangle).(bool))
	for i, f := range own {
		if !env.used[i] {
			env.params = append(env.params, fcgi.Param{Name: f.Name, Value: f.Value})
		}
	}
	return env.params
}

// cgiBody returns the length to announce in CONTENT_LENGTH and the number of bytes that
// vr.In gives. They are those of the client unless a script has read from the body,
// replaced it or filters it; behind a filter the client's length stays announced, as in
// lighttpd2. A filtered body is read here: filters run Lua, which must not happen in a
// goroutine that uploads, beside that of the request.
func cgiBody(vr *runtime.VRequest) (announced, length int64, err error) {
	if !vr.BodyChanged() {
		n, err := vr.ContentLength()
		return n, n, err
	}
	if length, err = vr.In.Measure(vr.Program().MaxBufferedBody()); err != nil {
		return 0, 0, err
	}
	announced = length
	if vr.BodyFiltered() {
		announced, err = vr.ContentLength()
	}
	return announced, length, err
}

type cgiEnv struct {
	vr     *runtime.VRequest
	params []fcgi.Param
	own    []runtime.Field // what takes the place of CGI variables of its names, or comes last
	used   []bool          // the own entries that took such a place
}

func (e *cgiEnv) add(name, value string) {
	for i, own := range e.own {
		if own.Name == name {
			value, e.used[i] = own.Value, true
		}
	}
	e.params = append(e.params, fcgi.Param{Name: name, Value: value})
}

// addHeaders adds the request header as HTTP_*; several fields of a name are joined.
// "Proxy" is left out: HTTP_PROXY is what many programs take their proxy from (httpoxy).
func (e *cgiEnv) addHeaders(mangle bool) {
	first := len(e.params)
	for name, value := range e.vr.Request.Header.All() {
		if strings.EqualFold(name, "Proxy") {
			continue
		}
		if strings.EqualFold(name, "Content-Type") {
			e.add("CONTENT_TYPE", value)
			continue
		}
		variable := headerVariable(name, mangle)
		// without mangling X_A and X-A are the same variable: only the form with the dash
		// counts then, so that nobody can smuggle a value in for it (RFC 3875, 4.1.18)
		if !mangle && !plainName(name) && e.hasPlainHeader(variable) {
			continue
		}
		e.addHeader(first, variable, name, value)
	}
}

func (e *cgiEnv) addHeader(first int, variable, name, value string) {
	for i := first; i < len(e.params); i++ {
		if e.params[i].Name == variable {
			e.params[i].Value += joiner(name) + value
			return
		}
	}
	e.add(variable, value)
}

func joiner(name string) string {
	if strings.EqualFold(name, "Cookie") {
		return "; "
	}
	return ", "
}

// hasPlainHeader reports whether the request has a header of letters, digits and dashes
// that becomes this variable.
func (e *cgiEnv) hasPlainHeader(variable string) bool {
	for name := range e.vr.Request.Header.All() {
		if plainName(name) && headerVariable(name, false) == variable {
			return true
		}
	}
	return false
}

func plainName(name string) bool {
	for i := 0; i < len(name); i++ {
		if c := name[i]; !isAlnum(c) && c != '-' {
			return false
		}
	}
	return true
}

func isAlnum(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
}

// headerVariable is the name of the environment variable of a header (lighttpd2,
// cgi.mangle_env_names).
func headerVariable(name string, mangle bool) string {
	full := mangle && !plainName(name)
	out := make([]byte, 0, len(name)+8)
	out = append(out, "HTTP_"...)
	if full {
		out = append(out, '_')
	}
	for i := 0; i < len(name); i++ {
		c := name[i]
		switch {
		case c >= 'a' && c <= 'z':
			out = append(out, c-'a'+'A')
		case isAlnum(c):
			out = append(out, c)
		case full:
			const digits = "0123456789ABCDEF"
			out = append(out, '_', digits[c>>4], digits[c&15])
		default:
			out = append(out, '_')
		}
	}
	return string(out)
}
