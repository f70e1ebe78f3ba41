package runtime

import (
	"net/netip"
	"strings"
	"testing"
)

func TestConditions(t *testing.T) {
	vr := testRequest(t, "/a/b.css?n=10.1.2.3", "Example.com:8080")
	vr.Con.Remote = netip.MustParseAddrPort("127.0.0.1:5000")
	vr.Request.Header.Insert("X-Foo", "bar")
	vr.Request.Header.Insert("x-foo", "baz")
	vr.body = &requestBody{length: 12}
	tests := []struct {
		lvalue, key, op, arg string
		want                 bool
	}{
		{"request.path", "", "eq", "/a/b.css", true},
		{"request.path", "", "ne", "/a/b.css", false},
		{"request.path", "", "prefix", "/a", true},
		{"request.path", "", "notprefix", "/a", false},
		{"request.path", "", "suffix", ".css", true},
		{"request.path", "", "notsuffix", ".css", false},
		{"request.path", "", "match", `\.(css|js)$`, true},
		{"request.path", "", "nomatch", `\.(css|js)$`, false},
		{"request.host", "", "eq", "example.com", true},
		{"request.remoteip", "", "ip", "127.0.0.0/8", true},
		{"request.remoteip", "", "notip", "127.0.0.0/8", false},
		{"request.remoteip", "", "eq", "127.0.0.1", true},
		{"request.remoteport", "", "gt", "4999", true},
		{"request.length", "", "lt", "13", true},
		{"request.length", "", "le", "12", true},
		{"request.length", "", "ge", "13", false},
		{"request.length", "", "eq", "12", true},
		{"request.length", "", "is", "", true},
		{"request.header", "x-foo", "eq", "bar, baz", true},
		{"request.header", "X-None", "is", "", false},
		{"request.header", "X-None", "isnot", "", true},
		{"request.header", "X-None", "eq", "", true},
		{"request.is_handled", "", "is", "", false},
		{"request.is_handled", "", "eq", "FALSE", true},
		{"request.query", "", "suffix", "10.1.2.3", true},
		{"physical.exists", "", "is", "", false},
		{"physical.size", "", "eq", "-1", true},
	}
	for _, tt := range tests {
		c, err := newCondition(nil, &LValue{findLValue(tt.lvalue), tt.key}, findOp(tt.op), tt.arg)
		if err != nil {
			t.Errorf("%s:%s(%q): %v", tt.lvalue, tt.op, tt.arg, err)
			continue
		}
		if got, err := c.Eval(vr); err != nil || got != tt.want {
			t.Errorf("%s = %v, %v, want %v", c, got, err, tt.want)
		}
	}
}

func TestConditionErrors(t *testing.T) {
	for _, tt := range []struct{ lvalue, op, arg, want string }{
		{"request.path", "match", "(", "failed to compile regex"},
		{"request.remoteip", "ip", "nonsense", `invalid ip address "nonsense"`},
		{"request.length", "lt", "x", "expects an integer"},
		{"request.is_handled", "lt", "1", "not a number"},
	} {
		_, err := newCondition(nil, &LValue{def: findLValue(tt.lvalue)}, findOp(tt.op), tt.arg)
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s:%s(%q): error %v, want %q in it", tt.lvalue, tt.op, tt.arg, err, tt.want)
		}
	}
}

// The response is looked at before there is one: an error, never a silent no.
func TestResponseConditionNeedsResponse(t *testing.T) {
	vr := testRequest(t, "/", "h")
	c, err := newCondition(nil, &LValue{def: findLValue("response.status")}, findOp("ne"), "403")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Eval(vr); err == nil {
		t.Error("response.status before the response: no error")
	}
}

func TestRegexMatchesBytes(t *testing.T) {
	for _, tt := range []struct {
		expr, subject, group string
	}{
		{`^/(..)$`, "/ä", "ä"},
		{`^/(.)`, "/ä", "\xc3"},
		{`^/(ä)x`, "/äx", "ä"},
		{`^/([^/]+)/`, "/ü\xff/", "ü\xff"},
	} {
		re, err := CompileRegex(tt.expr)
		if err != nil {
			t.Fatal(err)
		}
		groups := re.Find(tt.subject)
		if groups == nil {
			t.Errorf("%s does not match %q", tt.expr, tt.subject)
			continue
		}
		if got := tt.subject[groups[2]:groups[3]]; got != tt.group {
			t.Errorf("%s on %q: group %q, want %q", tt.expr, tt.subject, got, tt.group)
		}
	}
}
