package httpproxy

import (
	"slices"
	"strings"

	"luaserve/bindings/upstream"
)

// perConnection reports whether a field is about one connection and not the message (RFC 9110
// section 7.6.1). Trailer is among them because it is this package that says what follows.
func perConnection(name string) bool {
	switch len(name) {
	case len("te"):
		return upstream.IsName(name, "te")
	case len("upgrade"):
		return upstream.IsName(name, "upgrade") || upstream.IsName(name, "trailer")
	case len("connection"):
		return upstream.IsName(name, "connection") || upstream.IsName(name, "keep-alive")
	case len("proxy-connection"):
		return upstream.IsName(name, "proxy-connection")
	case len("transfer-encoding"):
		return upstream.IsName(name, "transfer-encoding")
	}
	return false
}

// tokens are the elements of a list such as the value of Connection.
type tokens []string

// asTokens splits a list.
func asTokens(value string) (t tokens) {
	for option := range strings.SplitSeq(value, ",") {
		if option = strings.Trim(option, " \t"); option != "" {
			t = append(t, option)
		}
	}
	return t
}

// add adds the options of one Connection field. The two usual ones name no field and are left
// out.
func (t tokens) add(value string) tokens {
	for _, option := range asTokens(value) {
		if !upstream.IsName(option, "close") && !upstream.IsName(option, "keep-alive") {
			t = append(t, option)
		}
	}
	return t
}

func (t tokens) has(name string) bool {
	return slices.ContainsFunc(t, func(s string) bool { return strings.EqualFold(s, name) })
}

func hasSpaceOrControl(s string) bool {
	for i := range len(s) {
		if s[i] <= ' ' || s[i] == 0x7f {
			return true
		}
	}
	return false
}
