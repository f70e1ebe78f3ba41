package luatext

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

func TestTokens(t *testing.T) {
	for src, want := range map[string]string{
		"local x = 1 -- note":             `1local 0x 4= 21 5-- note`,
		"a.b:c('it''s')":                  `0a 4. 0b 4: 0c 4( 3'it' 3's' 4)`,
		`"\"" "open` + "\nx":              `3"\"" 3"open 0x`,
		"[[a\nb]] [=[ ]] ]=] t[1]":        "3[[a\nb]] 3[=[ ]] ]=] 0t 4[ 21 4]",
		"--[[ long\n]] x --[ short\ny":    "5--[[ long\n]] 0x 5--[ short 0y",
		"1e+5 0xff .5 1..2 a..b ... ~= @": "21e+5 20xff 2.5 21..2 0a 4.. 0b 4... 4~= 4@",
		"#!/usr/bin/lua\nx":               "0x",
		"ende end\tü":                     "0ende 1end 0ü",
	} {
		var got []string
		for tok := range New([]byte(src)).Tokens() {
			got = append(got, fmt.Sprintf("%d%s", tok.Kind, tok.Text))
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%q:\n got %s\nwant %s", src, strings.Join(got, " "), want)
		}
	}
}

func TestFind(t *testing.T) {
	text := New([]byte("x = 1\r\nheader.add('X-A', header . add) header.adder \"/a\\\"b\"\n"))
	for name, want := range map[string]string{
		"header.add": "1+10 19+12", "X-A": "12+5", "nothing": "", `/a"b`: "46+7", "header": "1+6 19+6 33+6",
	} {
		var got []string
		for _, tok := range text.Find(2, name) {
			got = append(got, fmt.Sprintf("%d+%d", tok.Column, len(tok.Text)))
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%s: got %v, want %s", name, got, want)
		}
	}
	if text.Line(1) != "x = 1" || text.Line(3) != "" || text.Line(9) != "" {
		t.Errorf("lines: %q %q", text.Line(1), text.Line(3))
	}
}

func TestUnclosed(t *testing.T) {
	for src, want := range map[string]string{
		"x = {\n 1, 2\n":   "1{ }",
		"f(\n{ 1, 2 }\n":   "1( )",
		"if a then\nend":   "",
		"end":              "",
		"x = { f( }":       "1( )",
		"while a do\n b()": "1do end",
		"repeat\n x = 1\n": "1repeat until",
		"function a()\n  if x then\n    b()\nend\n\nfunction c()\nend\n":                   "2if end",
		"function a()\n  if x then\n    b()\n  end\n\nfunction c()\nend\n":                 "1function end",
		"local t = {\n  when(a, {\n    b,\n}\n":                                            "2{ }",
		"local s = 'function if {' -- do (\nfor i = 1, 2 do\n  local f = function() end\n": "2do end",
	} {
		got := ""
		if tok, closer, ok := New([]byte(src)).Unclosed(); ok {
			got = fmt.Sprintf("%d%s %s", tok.Line, tok.Text, closer)
		}
		if got != want {
			t.Errorf("%q: got %q, want %q", src, got, want)
		}
	}
}

func FuzzText(f *testing.F) {
	f.Add("local x = { [[a]], 'b' } --[==[ c")
	f.Add("if a then end end )")
	f.Fuzz(func(t *testing.T, src string) {
		text := New([]byte(src))
		at := 0
		for tok := range text.Tokens() {
			if tok.Offset < at || tok.Text == "" || src[tok.Offset:tok.End()] != tok.Text {
				t.Fatalf("token %+v at %d", tok, at)
			}
			if got := text.src[int(text.lines[tok.Line-1])+tok.Column-1:]; !strings.HasPrefix(got, tok.Text) {
				t.Fatalf("%+v is not at its place", tok)
			}
			at = tok.End()
		}
		text.Unclosed()
		for tok := range text.Tokens() {
			if !slices.Contains(text.OnLine(tok.Line), tok) {
				t.Fatalf("%+v is not on its line", tok)
			}
			text.Find(tok.Line, tok.Text)
		}
	})
}
