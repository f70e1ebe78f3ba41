package runtime

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// lvalueKind says how an lvalue is compared.
type lvalueKind uint8

const (
	lvString lvalueKind = iota
	lvNumber
	lvBool
	lvIP
)

// lvalueDef describes one condition variable. Conditions, patterns, their error messages
// and the reference all come from this table (lighttpd2, "Condition variables").
type lvalueDef struct {
	name    string
	aliases []string
	kind    lvalueKind
	keyed   bool // request.header["X"]
	mayFail bool // reading it may be an error, or do something
	doc     string
	str     func(vr *VRequest, key string) (string, error)
	num     func(vr *VRequest) (int64, error)
	flag    func(vr *VRequest) (bool, error)
	ip      func(vr *VRequest) (netip.Addr, error)
}

// LValue is a condition variable with its key: request.header["Host"].
type LValue struct {
	def *lvalueDef
	key string
}

var errNoResponse = errors.New("there is no response yet: put this behind the action that answers")

var lvalueDefs = []*lvalueDef{
	{name: "request.localip", kind: lvIP, doc: "Address that the client connected to.",
		ip: func(vr *VRequest) (netip.Addr, error) { return vr.Con.Local.Addr(), nil }},
	{name: "request.localport", kind: lvNumber, doc: "Port that the client connected to.",
		num: func(vr *VRequest) (int64, error) { return int64(vr.Con.Local.Port()), nil }},
	{name: "request.remoteip", kind: lvIP, doc: "Address of the client.",
		ip: func(vr *VRequest) (netip.Addr, error) { return vr.Con.Remote.Addr(), nil }},
	{name: "request.remoteport", kind: lvNumber, doc: "Port of the client.",
		num: func(vr *VRequest) (int64, error) { return int64(vr.Con.Remote.Port()), nil }},
	{name: "request.path", doc: "Decoded, simplified path of the URL.",
		str: func(vr *VRequest, _ string) (string, error) { return vr.Request.URI.Path, nil }},
	{name: "request.raw_path", doc: "Path and query as the client sent them.",
		str: func(vr *VRequest, _ string) (string, error) { return vr.Request.URI.RawPath, nil }},
	{name: "request.host", doc: "Host name in lower case, without port.",
		str: func(vr *VRequest, _ string) (string, error) { return vr.Request.URI.Host, nil }},
	{name: "request.scheme", doc: `"http" or "https".`,
		str: func(vr *VRequest, _ string) (string, error) { return vr.Request.URI.Scheme, nil }},
	{name: "request.query", doc: "Query string, not decoded.",
		str: func(vr *VRequest, _ string) (string, error) { return vr.Request.URI.Query, nil }},
	{name: "request.method", doc: "HTTP method.",
		str: func(vr *VRequest, _ string) (string, error) { return vr.Request.Method, nil }},
	{name: "request.length", aliases: []string{"request.content_length"}, kind: lvNumber, mayFail: true,
		doc: "Length of the request body in bytes. A body of unknown length is read for it.",
		num: func(vr *VRequest) (int64, error) { return vr.ContentLength() }},
	{name: "request.is_handled", kind: lvBool, doc: "Whether an action has claimed the request.",
		flag: func(vr *VRequest) (bool, error) { return vr.IsHandled(), nil }},
	{name: "request.header", keyed: true, doc: `Request header; several fields are joined with ", ", a missing one is "".`,
		str: func(vr *VRequest, key string) (string, error) { return vr.Request.Header.Get(key), nil }},
	{name: "request.environment", aliases: []string{"request.env"}, keyed: true,
		doc: `Entry of the (CGI) environment; a missing one is "".`,
		str: func(vr *VRequest, key string) (string, error) { return vr.Env.Get(key), nil }},
	{name: "physical.path", doc: "File that the URL is mapped to.",
		str: func(vr *VRequest, _ string) (string, error) { return vr.Physical.Path, nil }},
	{name: "physical.exists", aliases: []string{"physical.exist"}, kind: lvBool, doc: "Whether that file exists.",
		flag: func(vr *VRequest) (bool, error) { return vr.Physical.Stat().Exists, nil }},
	{name: "physical.size", kind: lvNumber, doc: "Size of the file in bytes, -1 when there is none.",
		num: func(vr *VRequest) (int64, error) { return vr.Physical.Stat().Size, nil }},
	{name: "physical.is_dir", kind: lvBool, doc: "Whether the file is a directory.",
		flag: func(vr *VRequest) (bool, error) { return vr.Physical.Stat().IsDir, nil }},
	{name: "physical.is_file", kind: lvBool, doc: "Whether the file is a regular file.",
		flag: func(vr *VRequest) (bool, error) { return vr.Physical.Stat().IsFile, nil }},
	{name: "physical.docroot", doc: "Document root of the request.",
		str: func(vr *VRequest, _ string) (string, error) { return vr.Physical.DocRoot, nil }},
	{name: "physical.pathinfo", doc: "PATH_INFO: what the URL has behind the file.",
		str: func(vr *VRequest, _ string) (string, error) { return vr.Physical.PathInfo, nil }},
	{name: "response.status", kind: lvNumber, mayFail: true, doc: "Status code of the response.",
		num: func(vr *VRequest) (int64, error) {
			if !vr.HasResponse() {
				return 0, errNoResponse
			}
			return int64(vr.Response.Status), nil
		}},
	{name: "response.header", keyed: true, mayFail: true, doc: "Response header, as request.header.",
		str: func(vr *VRequest, key string) (string, error) {
			if !vr.HasResponse() {
				return "", errNoResponse
			}
			return vr.Response.Header.Get(key), nil
		}},
}

// groupAliases are the short names of the groups in patterns: %{req.path}.
var groupAliases = map[string]string{
	"req": "request", "phys": "physical", "resp": "response",
	"request": "request", "physical": "physical", "response": "response",
}

// findLValue returns the definition of "request.path" by its long name or an alias.
func findLValue(name string) *lvalueDef {
	for _, d := range lvalueDefs {
		if d.name == name || slices.Contains(d.aliases, name) {
			return d
		}
	}
	return nil
}

// lvalueNames returns the names of all condition variables.
func lvalueNames() []string {
	names := make([]string, len(lvalueDefs))
	for i, d := range lvalueDefs {
		names[i] = d.name
	}
	return names
}

// parseLValue reads the inside of %{…}: req.header[X-A].
func parseLValue(s string) (*LValue, error) {
	name, rest, hasKey := strings.Cut(s, "[")
	key := ""
	if hasKey {
		var closed bool
		if key, closed = strings.CutSuffix(rest, "]"); !closed {
			return nil, fmt.Errorf(`missing "]" in %%{%s}`, s)
		}
	}
	group, field, _ := strings.Cut(name, ".")
	def := findLValue(groupAliases[group] + "." + field)
	if def == nil {
		return nil, &UnknownNameError{What: "variable", Name: name, Nearest: Nearest(groupAliases[group]+"."+field, lvalueNames())}
	}
	if def.keyed && key == "" {
		return nil, fmt.Errorf("%%{%s} needs a key: %%{%s[name]}", s, name)
	}
	return &LValue{def, key}, nil
}

// String prints the lvalue as a script writes it.
func (l *LValue) String() string {
	if l.def.keyed {
		return fmt.Sprintf("%s[%q]", l.def.name, l.key)
	}
	return l.def.name
}

// text returns the value as text: numbers in decimal, booleans as TRUE and FALSE.
func (l *LValue) text(vr *VRequest) (string, error) {
	switch l.def.kind {
	case lvNumber:
		n, err := l.def.num(vr)
		if err != nil {
			return "", err
		}
		return strconv.FormatInt(n, 10), nil
	case lvBool:
		b, err := l.def.flag(vr)
		if b {
			return "TRUE", err
		}
		return "FALSE", err
	case lvIP:
		a, err := l.def.ip(vr)
		if err != nil || !a.IsValid() {
			return "", err
		}
		return a.String(), nil
	}
	return l.def.str(vr, l.key)
}

// truth is what :is() tests: true, a number other than 0, a text other than "".
func (l *LValue) truth(vr *VRequest) (bool, error) {
	switch l.def.kind {
	case lvBool:
		return l.def.flag(vr)
	case lvNumber:
		n, err := l.def.num(vr)
		return n != 0, err
	}
	s, err := l.text(vr)
	return s != "", err
}

// addr returns the value as an address; an invalid one when it is none.
func (l *LValue) addr(vr *VRequest) (netip.Addr, error) {
	if l.def.kind == lvIP {
		return l.def.ip(vr)
	}
	s, err := l.text(vr)
	if err != nil {
		return netip.Addr{}, err
	}
	a, _ := netip.ParseAddr(s)
	return a, nil
}

// Variable describes a condition variable for the reference.
type Variable struct {
	Name  string
	Keyed bool // request.header["X"]
	Doc   string
}

// Variables returns all condition variables.
func Variables() []Variable {
	out := make([]Variable, len(lvalueDefs))
	for i, d := range lvalueDefs {
		out[i] = Variable{d.name, d.keyed, d.doc}
	}
	return out
}
