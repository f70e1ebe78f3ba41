package httpproxy

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
)

// perConnection reports whether a field is about one connection and not the message (RFC 9110
// section 7.6.1). Trailer is among them because it is this package that says what follows.
func perConnection(name string) bool {
	switch len(name) {
	case len("te"):
		return isName(name, "te")
	case len("upgrade"):
		return isName(name, "upgrade") || isName(name, "trailer")
	case len("connection"):
		return isName(name, "connection") || isName(name, "keep-alive")
	case len("proxy-connection"):
		return isName(name, "proxy-connection")
	case len("transfer-encoding"):
		return isName(name, "transfer-encoding")
	}
	return false
}

func isName(name, lower string) bool {
	return len(name) == len(lower) && strings.EqualFold(name, lower)
}

// tokens are the options of Connection fields.
type tokens []string

// add adds the options of one field. The two usual ones name no field and are left out.
func (t tokens) add(value string) tokens {
	for option := range strings.SplitSeq(value, ",") {
		option = strings.Trim(option, " \t")
		if option == "" || isName(option, "close") || isName(option, "keep-alive") {
			continue
		}
		t = append(t, option)
	}
	return t
}

func (t tokens) has(name string) bool {
	return slices.ContainsFunc(t, func(s string) bool { return strings.EqualFold(s, name) })
}

// checkNames refuses names that are no tokens. The parser lets a space pass, as in
// "Content-Length : 3", and does not take such a field for what it may mean to others.
func checkNames(h http.Header) error {
	for name := range h {
		if !isToken(name) {
			return fmt.Errorf("malformed header name %q", name)
		}
	}
	return nil
}

// responseFields gives the fields of a response that are passed on, in the order of their
// names; those of one name stay in their order.
func responseFields(h http.Header) []Field {
	named := namedByConnection(h)
	return passedOn(h, func(name string) bool { return perConnection(name) || named.has(name) })
}

func namedByConnection(h http.Header) (named tokens) {
	for _, value := range h["Connection"] {
		named = named.add(value)
	}
	return named
}

// passedOn gives the fields that are not dropped, in the order of their names.
func passedOn(h http.Header, drops func(name string) bool) []Field {
	names := make([]string, 0, len(h))
	n := 0
	for name, values := range h {
		if !drops(name) {
			names = append(names, name)
			n += len(values)
		}
	}
	slices.Sort(names)
	fields := make([]Field, 0, n)
	for _, name := range names {
		for _, value := range h[name] {
			fields = append(fields, Field{name, value})
		}
	}
	return fields
}

func isSpaceOrControl(r rune) bool { return r <= ' ' || r == 0x7f }

// isToken reports whether s is a token (RFC 9110 section 5.6.2).
func isToken(s string) bool {
	for i := 0; i < len(s); i++ {
		if !tokenBytes[s[i]] {
			return false
		}
	}
	return s != ""
}

var tokenBytes = func() (t [256]bool) {
	for c := byte('!'); c <= '~'; c++ {
		t[c] = !strings.ContainsRune(`"(),/:;<=>?@[\]{}`, rune(c))
	}
	return t
}()
