package runtime

import (
	"net/netip"
	"strings"
	"testing"
)

// FuzzCondition tests a value of a client with an argument of a script: each operator says the
// opposite of its negation, and what a plain comparison of strings says.
func FuzzCondition(f *testing.F) {
	f.Add("/a/b.css", "/a", "example.org")
	f.Add("/%e2%84%aa", "\u212a", "")
	f.Add("/a", `^/(a|b)+$`, "X")
	f.Add("/", "10.0.0.0/8", "127.0.0.1")
	f.Add("/", "::ffff:0:0/96", "::1")
	f.Fuzz(func(t *testing.T, target, arg, value string) {
		vr := &VRequest{}
		if vr.Request.URI.ParseTarget(target, "", "http") != nil || !ValidFieldValue(value) {
			return
		}
		vr.Request.Header.Insert("X", value)
		vr.Con.Remote = netip.MustParseAddrPort("127.0.0.1:5000")
		for _, lvalue := range []struct{ name, key, text string }{
			{"request.path", "", vr.Request.URI.Path},
			{"request.query", "", vr.Request.URI.Query},
			{"request.header", "x", value},
			{"request.remoteip", "", "127.0.0.1"},
		} {
			for _, op := range []struct {
				yes, no string
				is      func(s, arg string) bool // nil: nothing else to compare with
			}{
				{"eq", "ne", func(s, arg string) bool { return s == arg }},
				{"prefix", "notprefix", strings.HasPrefix},
				{"suffix", "notsuffix", strings.HasSuffix},
				{"match", "nomatch", nil},
				{"ip", "notip", nil},
			} {
				yes, err1 := newCondition(nil, &LValue{findLValue(lvalue.name), lvalue.key}, findOp(op.yes), arg)
				no, err2 := newCondition(nil, &LValue{findLValue(lvalue.name), lvalue.key}, findOp(op.no), arg)
				if (err1 == nil) != (err2 == nil) {
					t.Fatalf("%s:%s(%q): %v, but %s: %v", lvalue.name, op.yes, arg, err1, op.no, err2)
				}
				if err1 != nil {
					continue
				}
				is, err1 := yes.Eval(vr)
				isNot, err2 := no.Eval(vr)
				if (err1 == nil) != (err2 == nil) || err1 == nil && is == isNot {
					t.Fatalf("%s = %v, %v, but %s = %v, %v", yes, is, err1, no, isNot, err2)
				}
				if err1 == nil && op.is != nil && lvalue.name != "request.remoteip" && is != op.is(lvalue.text, arg) {
					t.Fatalf("%s = %v of %q", yes, is, lvalue.text)
				}
			}
		}
	})
}

// FuzzPath compares the simplification of paths with one that is written down as RFC 3986, 5.2.4
// says, and decodes what was encoded.
func FuzzPath(f *testing.F) {
	for _, seed := range []string{"/a/../b", "//a///b/", "/a/./b/..", "/..", "a/b", "", "/.a/..b/...", "/a/b/../../../c/", "/%2e", "/ü\x00"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, path string) {
		simple := SimplifyPath(path)
		if again := SimplifyPath(simple); again != simple {
			t.Errorf("SimplifyPath(%q) = %q, and of that %q", path, simple, again)
		}
		if want := simplifySlowly(path); simple != want {
			t.Errorf("SimplifyPath(%q) = %q, want %q", path, simple, want)
		}
		decoded := DecodePath(path)
		if strings.ContainsFunc(decoded, func(c rune) bool { return c < ' ' || c == 0x7f }) {
			t.Errorf("DecodePath(%q) = %q", path, decoded)
		}
		if back := DecodePath(EncodePath(decoded)); back != decoded {
			t.Errorf("%q becomes %q when it is encoded and decoded", decoded, back)
		}
	})
}

// simplifySlowly is SimplifyPath segment by segment.
func simplifySlowly(path string) string {
	out := "/"
	for path != "" {
		segment, rest, more := strings.Cut(path, "/")
		path = rest
		slash := ""
		if more {
			slash = "/"
		}
		switch segment {
		case "", ".":
		case "..":
			out = out[:strings.LastIndexByte(strings.TrimSuffix(out, "/"), '/')+1]
			if out == "" {
				out = "/"
			}
		default:
			out += segment + slash
		}
	}
	return out
}
