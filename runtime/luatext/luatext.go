// Package luatext splits the text of a Lua script into tokens that know their places. It
// serves messages about scripts, also broken ones: it never fails, whatever the text is.
package luatext

import (
	"bytes"
	"cmp"
	"iter"
	"slices"
	"strings"
)

// Kind says what a token is.
type Kind uint8

// The kinds of tokens.
const (
	Name Kind = iota
	Keyword
	Number
	String // also one that is not closed
	Symbol
	Comment
)

// Token is a piece of a script.
type Token struct {
	Kind   Kind
	Text   string // as it is in the script
	Offset int    // in bytes
	Line   int    // from 1
	Column int    // from 1, in bytes
}

// End is the offset behind the token.
func (t Token) End() int { return t.Offset + len(t.Text) }

func isKeyword(word string) bool {
	switch word {
	case "and", "break", "do", "else", "elseif", "end", "false", "for", "function", "goto", "if", "in", "local", "nil", "not", "or",
		"repeat", "return", "then", "true", "until", "while":
		return true
	}
	return false
}

var symbols = []string{"...", "..", "==", "~=", "<=", ">=", "::"}

// Text is a script with its tokens.
type Text struct {
	tokens []token
	src    string
	lines  []uint32 // where each begins
}

// token is all that has to be kept of a [Token]: the script of a large site has millions.
type token struct {
	offset, length uint32
	kind           Kind
}

// New splits a script, of less than 4 GiB.
func New(src []byte) *Text {
	t := &Text{src: string(src), lines: make([]uint32, 1, 1+bytes.Count(src, []byte("\n")))}
	for i, c := range src {
		if c == '\n' {
			t.lines = append(t.lines, uint32(i+1))
		}
	}
	at := 0
	if bytes.HasPrefix(src, []byte("#")) { // as Lua's own loader skips it
		at = len(t.Line(1))
	}
	for at < len(src) {
		if strings.IndexByte(" \t\r\n\v\f", src[at]) >= 0 {
			at++
			continue
		}
		kind, length := next(t.src[at:])
		t.tokens = append(t.tokens, token{uint32(at), uint32(length), kind})
		at += length
	}
	return t
}

// Tokens returns the tokens in their order.
func (t *Text) Tokens() iter.Seq[Token] {
	return func(yield func(Token) bool) {
		line := 1
		for _, tok := range t.tokens {
			for line < len(t.lines) && t.lines[line] <= tok.offset {
				line++
			}
			if !yield(t.on(line, tok)) {
				return
			}
		}
	}
}

// on returns a token that begins on a line.
func (t *Text) on(line int, tok token) Token {
	return Token{tok.kind, t.src[tok.offset : tok.offset+tok.length], int(tok.offset), line, int(tok.offset-t.lines[line-1]) + 1}
}

// Source returns the script.
func (t *Text) Source() string { return t.src }

// Line returns a line without its end, "" when there is no such line.
func (t *Text) Line(n int) string {
	if n < 1 || n > len(t.lines) {
		return ""
	}
	line := t.src[t.lines[n-1]:]
	if i := strings.IndexByte(line, '\n'); i >= 0 {
		line = line[:i]
	}
	return strings.TrimSuffix(line, "\r")
}

// OnLine returns the tokens that begin on a line.
func (t *Text) OnLine(n int) []Token {
	if n < 1 || n > len(t.lines) {
		return nil
	}
	from, end := t.tokenAt(t.lines[n-1]), len(t.tokens)
	if n < len(t.lines) {
		end = t.tokenAt(t.lines[n])
	}
	out := make([]Token, end-from)
	for i, tok := range t.tokens[from:end] {
		out[i] = t.on(n, tok)
	}
	return out
}

// tokenAt returns the first token that begins at an offset or behind it.
func (t *Text) tokenAt(offset uint32) int {
	i, _ := slices.BinarySearchFunc(t.tokens, offset, func(tok token, offset uint32) int { return cmp.Compare(tok.offset, offset) })
	return i
}

// Find returns the places on a line where a name stands. It may be a dotted one, as
// header.add, which is one token then, or a string, which is found by what it holds.
func (t *Text) Find(line int, name string) []Token {
	var out []Token
	tokens := t.OnLine(line)
	parts := strings.Split(name, ".")
	for i, tok := range tokens {
		switch tok.Kind {
		case Name, Keyword, Symbol, Number:
			if end := t.dotted(tokens[i:], parts); end > 0 {
				tok.Text = t.src[tok.Offset:end]
				out = append(out, tok)
			}
		case String:
			if text, ok := Unquote(tok.Text); ok && text == name {
				out = append(out, tok)
			}
		}
	}
	return out
}

// dotted returns where a dotted name ends that begins at the first token, 0 when it is not there.
func (t *Text) dotted(tokens []Token, parts []string) int {
	want := 2*len(parts) - 1
	if len(tokens) < want {
		return 0
	}
	for i := range want {
		text := "."
		if i%2 == 0 {
			text = parts[i/2]
		}
		if tokens[i].Text != text {
			return 0
		}
	}
	return tokens[want-1].End()
}

// Unquote returns what a string of a script holds; only plain ones, whose escapes are a quote,
// a backslash, \n, \r or \t.
func Unquote(text string) (string, bool) {
	if len(text) < 2 || text[0] != text[len(text)-1] || text[0] != '"' && text[0] != '\'' {
		return "", false
	}
	inner := text[1 : len(text)-1]
	if !strings.Contains(inner, `\`) {
		return inner, true
	}
	var b strings.Builder
	for i := 0; i < len(inner); i++ {
		c := inner[i]
		if c == '\\' {
			i++
			if i == len(inner) {
				return "", false
			}
			switch inner[i] {
			case '"', '\'', '\\':
				c = inner[i]
			case 'n':
				c = '\n'
			case 'r':
				c = '\r'
			case 't':
				c = '\t'
			default:
				return "", false
			}
		}
		b.WriteByte(c)
	}
	return b.String(), true
}

// next returns the kind and the length of the token that s begins with.
func next(s string) (Kind, int) {
	c := s[0]
	switch {
	case strings.HasPrefix(s, "--"):
		if n := longBracket(s[2:]); n > 0 {
			return Comment, 2 + n
		}
		return Comment, lineEnd(s)
	case isLetter(c):
		n := span(s, func(c byte) bool { return isLetter(c) || isDigit(c) })
		if isKeyword(s[:n]) {
			return Keyword, n
		}
		return Name, n
	case isDigit(c) || c == '.' && len(s) > 1 && isDigit(s[1]):
		return Number, number(s)
	case c == '"' || c == '\'':
		return String, quoted(s)
	case c == '[':
		if n := longBracket(s); n > 0 {
			return String, n
		}
	}
	for _, sym := range symbols {
		if strings.HasPrefix(s, sym) {
			return Symbol, len(sym)
		}
	}
	return Symbol, 1
}

func number(s string) int {
	for i := 1; i < len(s); i++ {
		exponent := (s[i-1] == 'e' || s[i-1] == 'E') && !strings.HasPrefix(s, "0x")
		if !isLetter(s[i]) && !isDigit(s[i]) && s[i] != '.' && !(exponent && (s[i] == '+' || s[i] == '-')) {
			return i
		}
	}
	return len(s)
}

func quoted(s string) int {
	for i := 1; i < len(s); i++ {
		switch s[i] {
		case s[0]:
			return i + 1
		case '\\':
			i++
		case '\n':
			return i
		}
	}
	return len(s)
}

// longBracket returns the length of [[…]] or [==[…]==], 0 when s does not begin with one.
func longBracket(s string) int {
	if !strings.HasPrefix(s, "[") {
		return 0
	}
	level := span(s[1:], func(c byte) bool { return c == '=' })
	if len(s) < level+2 || s[level+1] != '[' {
		return 0
	}
	end := "]" + strings.Repeat("=", level) + "]"
	if i := strings.Index(s, end); i >= 0 {
		return i + len(end)
	}
	return len(s)
}

func lineEnd(s string) int {
	if i := strings.IndexByte(s, '\n'); i >= 0 {
		return i
	}
	return len(s)
}

func span(s string, in func(byte) bool) int {
	for i := range len(s) {
		if !in(s[i]) {
			return i
		}
	}
	return len(s)
}

func isLetter(c byte) bool {
	return c == '_' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || c >= 0x80
}
func isDigit(c byte) bool { return '0' <= c && c <= '9' }
