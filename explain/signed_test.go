package explain_test

import (
	"testing"
	"time"

	"luaserve/explain"
)

func TestSigned(t *testing.T) {
	key, now := []byte("0123456789abcdef"), time.Unix(1_800_000_000, 0)
	good := explain.Sign(key, now, "GET", "example.net", "/a?b")
	for _, tt := range []struct {
		name, value          string
		at                   time.Duration
		method, host, target string
		want                 bool
	}{
		{"as signed", good, 0, "GET", "example.net", "/a?b", true},
		{"a little later", good, 59 * time.Second, "GET", "example.net", "/a?b", true},
		{"a clock that is behind", good, -59 * time.Second, "GET", "example.net", "/a?b", true},
		{"too late", good, 61 * time.Second, "GET", "example.net", "/a?b", false},
		{"from the future", good, -61 * time.Second, "GET", "example.net", "/a?b", false},
		{"another method", good, 0, "POST", "example.net", "/a?b", false},
		{"another host", good, 0, "GET", "example.org", "/a?b", false},
		{"another target", good, 0, "GET", "example.net", "/a?c", false},
		{"another key", explain.Sign([]byte("0123456789abcdeF"), now, "GET", "example.net", "/a?b"), 0, "GET", "example.net", "/a?b", false},
		{"a time that was changed", "1800000001" + good[10:], 0, "GET", "example.net", "/a?b", false},
		{"a time in another notation", "+" + good, 0, "GET", "example.net", "/a?b", false},
		{"no signature", "1800000000.", 0, "GET", "example.net", "/a?b", false},
		{"empty", "", 0, "GET", "example.net", "/a?b", false},
	} {
		if got := explain.Signed(tt.value, key, now.Add(tt.at), tt.method, tt.host, tt.target); got != tt.want {
			t.Errorf("%s: %v", tt.name, got)
		}
	}
}
