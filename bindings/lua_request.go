package bindings

import (
	"strings"

	lua "github.com/yuin/gopher-lua"

	"luaserve/runtime"
)

// requestObject is vr.req; the Go value behind it is the VRequest, which knows the body.
var requestObject = &runtime.Object{
	Name: "request",
	Doc:  "The head of the request.",
	Fields: []runtime.Attribute{
		{Name: "headers", Type: "headers", Doc: "Header fields of the request. A change of Host or Content-Length does not change uri.host or content_length.", Leaf: true, Part: true,
			Get: func(c *runtime.Call, self any) lua.LValue {
				return c.Object(headersObject, &self.(*runtime.VRequest).Request.Header)
			}},
		{Name: "http_method", Type: "string", Doc: `Method: "GET", "POST", "PROPFIND".`, Leaf: true,
			Get: func(c *runtime.Call, self any) lua.LValue {
				return c.Text(self.(*runtime.VRequest).Request.Method)
			}},
		{Name: "http_version", Type: "string", Doc: `Version of the protocol: "HTTP/1.0", "HTTP/1.1", "HTTP/2.0".`, Leaf: true,
			Get: func(c *runtime.Call, self any) lua.LValue {
				return c.Text(self.(*runtime.VRequest).Request.Version)
			}},
		{Name: "content_length", Type: "number", Doc: "Length of the body in bytes. A chunked body is received completely to know it.", Get: contentLength},
		{Name: "uri", Type: "request uri", Doc: "Address of the request, taken apart.", Leaf: true, Part: true,
			Get: func(c *runtime.Call, self any) lua.LValue {
				return c.Object(uriObject, &self.(*runtime.VRequest).Request.URI)
			}},
	},
}

func contentLength(c *runtime.Call, self any) lua.LValue {
	var n int64
	var err error
	blocking(c, func() { n, err = self.(*runtime.VRequest).ContentLength() })
	if err != nil {
		c.Fail(err)
	}
	return lua.LNumber(n)
}

// uriObject is vr.req.uri. A field that is written changes those that are parsed from it,
// never those that it is parsed from: path leaves raw_path as it is.
var uriObject = &runtime.Object{
	Name: "request uri",
	Doc:  "The address of the request. All fields can be written; what is parsed from a written field follows it.",
	Fields: []runtime.Attribute{
		uriField("raw", "Target as the client sent it, or the result of a rewrite.",
			func(u *runtime.URI) *string { return &u.Raw }, setRaw),
		uriField("raw_path", "Path and query, not decoded.",
			func(u *runtime.URI) *string { return &u.RawPath }, setRawPath),
		uriField("raw_orig_path", "raw_path as it was before any rewrite.",
			func(u *runtime.URI) *string { return &u.RawOrigPath },
			func(_ *runtime.Call, u *runtime.URI, v string) { u.RawOrigPath = encodeTarget(v) }),
		uriField("scheme", `"http" or "https".`,
			func(u *runtime.URI) *string { return &u.Scheme }, setScheme),
		uriField("authority", "Host header, or the authority of an absolute target: user, host and port.",
			func(u *runtime.URI) *string { return &u.Authority }, setAuthority),
		uriField("path", "Path, decoded and simplified.",
			func(u *runtime.URI) *string { return &u.Path },
			func(_ *runtime.Call, u *runtime.URI, v string) { u.Path = safePath(v) }),
		uriField("query", `Query, not decoded, without the "?".`,
			func(u *runtime.URI) *string { return &u.Query },
			func(_ *runtime.Call, u *runtime.URI, v string) { u.Query = encodeTarget(v) }),
		uriField("host", "Host name without user, port and trailing dots.",
			func(u *runtime.URI) *string { return &u.Host }, setHost),
	},
}

func uriField(name, doc string, field func(*runtime.URI) *string, set func(*runtime.Call, *runtime.URI, string)) runtime.Attribute {
	return runtime.Attribute{Name: name, Type: "string", Doc: doc, Leaf: true,
		Get: func(c *runtime.Call, self any) lua.LValue { return c.Text(*field(self.(*runtime.URI))) },
		Set: func(c *runtime.Call, self any, value lua.LValue) {
			c.Guard("vr.req.uri")
			set(c, self.(*runtime.URI), fieldText(c, value))
		}}
}

// encodeTarget percent-encodes the bytes that may not stand in a request target.
func encodeTarget(s string) string {
	var u runtime.URI
	u.SetRawPath("/" + s)
	return u.RawPath[1:]
}

func setRaw(_ *runtime.Call, u *runtime.URI, v string) {
	v = encodeTarget(v)
	var parsed runtime.URI
	if parsed.ParseTarget(v, "", u.Scheme) != nil {
		parsed.SetRawPath(v)
	}
	u.Raw, u.RawPath, u.Path, u.Query = v, parsed.RawPath, parsed.Path, parsed.Query
}

func setRawPath(_ *runtime.Call, u *runtime.URI, v string) {
	raw := u.Raw
	u.SetRawPath(v)
	u.Raw = raw
}

func setScheme(c *runtime.Call, u *runtime.URI, v string) {
	for i := range len(v) {
		b := v[i] | 0x20
		letter := b >= 'a' && b <= 'z'
		if !letter && (i == 0 || !strings.ContainsRune("0123456789+-.", rune(v[i]))) {
			c.Errorf("invalid scheme: %q", v)
		}
	}
	u.Scheme = v
}

func setAuthority(c *runtime.Call, u *runtime.URI, v string) {
	if strings.ContainsFunc(v, func(r rune) bool { return r <= ' ' || r == 0x7f }) || u.SetAuthority(v) != nil {
		c.Errorf("invalid authority: %q", v)
	}
}

// setHost keeps a host name as it was given. Host names become parts of file names, so
// what cannot be one is refused.
func setHost(c *runtime.Call, u *runtime.URI, v string) {
	var parsed runtime.URI
	if parsed.SetAuthority(v) != nil {
		c.Errorf("invalid host: %q", v)
	}
	if strings.EqualFold(parsed.Host, v) {
		u.Host = v
		return
	}
	u.Host = parsed.Host
}

// safePath keeps a path as it was given unless it climbs; control characters become "_",
// as in the paths that clients send.
func safePath(v string) string {
	clean := []byte(v)
	for i, b := range clean {
		if b < ' ' || b == 0x7f {
			clean[i] = '_'
		}
	}
	v = string(clean)
	for _, segment := range strings.Split(v, "/") {
		if segment == ".." {
			return runtime.SimplifyPath(v)
		}
	}
	return v
}
