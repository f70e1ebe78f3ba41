package bindings_test

import (
	"io"
	"strings"
	"testing"
)

// The connection ends with the last request that the script allows, and its answer says so.
func TestKeepaliveRequests(t *testing.T) {
	addr := listenHTTP1(t, luaScript(t, `actions = { action.keepalive.requests(2), respond "%{req.path}" }`))
	_, r := speak(t, addr, strings.Repeat("GET / HTTP/1.1\r\nHost: a\r\n\r\n", 3))
	for i, closes := range []bool{false, true} {
		if head := readHead(r); strings.Contains(head, "\r\nConnection: close\r\n") != closes {
			t.Errorf("request %d: %s", i+1, head)
		}
		if b, err := r.ReadByte(); b != '/' || err != nil {
			t.Fatalf("request %d: %q, %v", i+1, b, err)
		}
	}
	if rest, err := io.ReadAll(r); len(rest) > 0 || err != nil {
		t.Errorf("behind the end: %q, %v", rest, err)
	}
}
