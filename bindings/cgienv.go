package bindings

import (
	"bytes"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"

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

// cgiEnv is the environment of one request. Free it when nobody uses its params any more.
type cgiEnv struct {
	params []fcgi.Param

	vr   *runtime.VRequest
	own  []runtime.Field // what takes the place of CGI variables of its names, or comes last
	used []bool          // the own entries that took such a place

	text []byte // names and values that are made here; they become one string in the end
	made []madeText
}

// madeText is a part of the text that becomes a name or a value.
type madeText struct {
	param, from, to int
	name            bool
}

var environments = sync.Pool{New: func() any { return &cgiEnv{} }}

func (e *cgiEnv) free() {
	clear(e.params)
	*e = cgiEnv{params: e.params[:0], used: e.used[:0], text: e.text[:0], made: e.made[:0]}
	environments.Put(e)
}

// environment builds the meta-variables of CGI/1.1 (RFC 3875, 4.1), in lighttpd2's order.
// An entry of the request's own environment replaces the variable of that name; what is
// left of it comes last.
func (o cgiOptions) environment(vr *runtime.VRequest, contentLength int64) *cgiEnv {
	env := environments.Get().(*cgiEnv)
	env.vr, env.own = vr, o.own(vr)
	for range env.own {
		env.used = append(env.used, false)
	}
	req, phys := &vr.Request, &vr.Physical
	serverName := req.URI.Host
	if serverName == "" {
		serverName = vr.Option(o.name).(string)
	}
	env.addNumber("CONTENT_LENGTH", contentLength)
	env.add("SERVER_SOFTWARE", vr.Option(o.tag).(string))
	env.add("SERVER_NAME", serverName)
	env.add("GATEWAY_INTERFACE", "CGI/1.1")
	env.addEnd("SERVER_PORT", "SERVER_ADDR", vr.Con.Local)
	env.addEnd("REMOTE_PORT", "REMOTE_ADDR", vr.Con.Remote)
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
	env.finish()
	return env
}

// finish adds what is left of the own entries, and puts the text in.
func (e *cgiEnv) finish() {
	for i, f := range e.own {
		if !e.used[i] {
			e.params = append(e.params, fcgi.Param{Name: f.Name, Value: f.Value})
		}
	}
	text := string(e.text)
	for _, m := range e.made {
		if m.name {
			e.params[m.param].Name = text[m.from:m.to]
		} else {
			e.params[m.param].Value = text[m.from:m.to]
		}
	}
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

// add adds a variable. Put in the place of its twenty calls it would be 3 KB that every request
// has to bring into the instruction cache.
//
//go:noinline
func (e *cgiEnv) add(name, value string) {
	if own := e.ownValue(name); own != nil {
		value = *own
	}
	e.params = append(e.params, fcgi.Param{Name: name, Value: value})
}

// ownValue returns what takes the place of the variable, nil when nothing does.
func (e *cgiEnv) ownValue(name string) (value *string) {
	for i := range e.own {
		if e.own[i].Name == name {
			value, e.used[i] = &e.own[i].Value, true
		}
	}
	return value
}

func (e *cgiEnv) addNumber(name string, n int64) {
	from := len(e.text)
	e.text = strconv.AppendInt(e.text, n, 10)
	e.addMade(name, from)
}

// addEnd adds the port and the address of an end of the connection, if it has any.
func (e *cgiEnv) addEnd(port, addr string, end netip.AddrPort) {
	if !end.IsValid() {
		return
	}
	e.addNumber(port, int64(end.Port()))
	from := len(e.text)
	e.text = end.Addr().AppendTo(e.text)
	e.addMade(addr, from)
}

// addMade adds a variable whose value is the text from an offset on.
func (e *cgiEnv) addMade(name string, from int) {
	if own := e.ownValue(name); own != nil {
		e.params = append(e.params, fcgi.Param{Name: name, Value: *own})
		return
	}
	e.made = append(e.made, madeText{param: len(e.params), from: from, to: len(e.text)})
	e.params = append(e.params, fcgi.Param{Name: name})
}

// addHeaders adds the request header as HTTP_*; several fields of a name are joined.
// "Proxy" is left out: HTTP_PROXY is what many programs take their proxy from (httpoxy).
func (e *cgiEnv) addHeaders(mangle bool) {
	first := len(e.made)
	for name, value := range e.vr.Request.Header.All() {
		if strings.EqualFold(name, "Proxy") {
			continue
		}
		if strings.EqualFold(name, "Content-Type") {
			e.add("CONTENT_TYPE", value)
			continue
		}
		from := len(e.text)
		e.text = appendVariable(e.text, name, mangle)
		variable := e.text[from:]
		// without mangling X_A and X-A are the same variable: only the form with the dash
		// counts then, so that nobody can smuggle a value in for it (RFC 3875, 4.1.18)
		if !mangle && !plainName(name) && e.hasPlainHeader(variable) || e.join(first, variable, name, value) {
			e.text = e.text[:from]
			continue
		}
		e.made = append(e.made, madeText{param: len(e.params), from: from, to: len(e.text), name: true})
		if len(e.own) > 0 {
			if own := e.ownValue(string(variable)); own != nil {
				value = *own
			}
		}
		e.params = append(e.params, fcgi.Param{Value: value})
	}
}

// join adds a value to a header variable that is there already, if it is; one of the own
// entries stays as it is.
func (e *cgiEnv) join(first int, variable []byte, name, value string) bool {
	for _, m := range e.made[first:] {
		if bytes.Equal(e.text[m.from:m.to], variable) {
			if e.ownValue(string(variable)) == nil {
				e.params[m.param].Value += joiner(name) + value
			}
			return true
		}
	}
	return false
}

func joiner(name string) string {
	if strings.EqualFold(name, "Cookie") {
		return "; "
	}
	return ", "
}

// hasPlainHeader reports whether the request has a header of letters, digits and dashes
// that becomes this variable.
func (e *cgiEnv) hasPlainHeader(variable []byte) bool {
	var space [64]byte
	for name := range e.vr.Request.Header.All() {
		if plainName(name) && bytes.Equal(appendVariable(space[:0], name, false), variable) {
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

// appendVariable appends the name of the environment variable of a header (lighttpd2,
// cgi.mangle_env_names).
func appendVariable(out []byte, name string, mangle bool) []byte {
	full := mangle && !plainName(name)
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
	return out
}
