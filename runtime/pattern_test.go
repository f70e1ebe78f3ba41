package runtime

import (
	"strings"
	"testing"
)

// testRequest is a request that patterns and conditions can look at.
func testRequest(t *testing.T, target, host string) *VRequest {
	t.Helper()
	vr := &VRequest{prog: &Program{}}
	vr.In, vr.Out = &vr.noBody, &vr.rawOut
	vr.Request.Method = "GET"
	if err := vr.Request.URI.ParseTarget(target, host, "http"); err != nil {
		t.Fatal(err)
	}
	return vr
}

func TestPattern(t *testing.T) {
	vr := testRequest(t, "/p%20q?a=1", "a.b.example.com")
	vr.Request.Header.Insert("X-A", "1 2")
	vr.Env.Set("E", "env")
	vr.captures = append(vr.captures, match{subject: "abcd", groups: []int{0, 4, 0, 1, 1, 2, 2, 3, 3, 4}})
	for in, want := range map[string]string{
		"":                               "",
		"plain":                          "plain",
		`\%1 \$1 \\ \?`:                  `%1 $1 \ ?`,
		"%{req.path}|%{enc:req.path}":    "/p q|/p%20q",
		"%{request.query}":               "a=1",
		"%{req.header[x-a]}":             "1 2",
		"%{req.env[E]}":                  "env",
		"%{req.is_handled}":              "FALSE",
		"%{phys.size}":                   "-1",
		"[%{resp.status}]":               "[]",
		"%0 %1 %9":                       "abcd a ",
		"%[1-3] %[3-1] %[2-] %[-2] %[2]": "abc cba bcd dcb b",
		"$0|$1|$2|$9":                    "a.b.example.com|com|example|a",
		"$[1-2] $[2-1] $[2-] $[-2]":      "example.com com.example a.b.example example.b.a",
		"$[0-2] $[5-6]":                  "a.b.example.com a",
	} {
		p, err := ParsePattern(in)
		if err != nil {
			t.Errorf("ParsePattern(%q): %v", in, err)
			continue
		}
		if got := p.Eval(vr, HostLabels(vr.Request.URI.Host)); got != want {
			t.Errorf("%q = %q, want %q", in, got, want)
		}
	}
}

func TestPatternErrors(t *testing.T) {
	for in, want := range map[string]string{
		"%":               `expected a digit`,
		"a%x":             `expected a digit`,
		"$x":              `expected a digit`,
		"${x}":            `expected a digit`,
		"%{req.path":      `missing "}"`,
		"%{req.pth}":      `unknown variable "req.pth"; did you mean "request.path"?`,
		"%{req.header}":   `needs a key`,
		"%{req.header[X}": `missing "]"`,
		"%[1":             `missing "]"`,
		"%[]":             `empty range`,
		"%[-]":            `empty range`,
		"%[a-b]":          `bad range`,
		`x\`:              `ends with a backslash`,
	} {
		_, err := ParsePattern(in)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("ParsePattern(%q): error %v, want %q in it", in, err, want)
		}
	}
}

func TestHostLabelsOfShortNames(t *testing.T) {
	for _, host := range []string{"localhost", ""} {
		for _, in := range []string{"$1", "$9", "$[1-2]", "$[2-1]", "$[2-]", "$[-2]", "$[5-6]"} {
			p, err := ParsePattern(in)
			if err != nil {
				t.Fatal(err)
			}
			if got := p.Eval(nil, HostLabels(host)); got != host {
				t.Errorf("%s of %q = %q, want the host itself", in, host, got)
			}
		}
	}
}

func FuzzPattern(f *testing.F) {
	f.Add("%{enc:req.path}/%1/$[2-]", "a.b.c")
	f.Add(`\%%[-3]$0`, "")
	f.Fuzz(func(t *testing.T, text, host string) {
		p, err := ParsePattern(text)
		if err != nil {
			return
		}
		vr := &VRequest{}
		vr.captures = append(vr.captures, match{subject: host, groups: []int{0, len(host)}})
		p.Eval(vr, HostLabels(host))
	})
}
