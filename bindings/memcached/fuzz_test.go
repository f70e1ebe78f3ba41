package memcached

import (
	"bufio"
	"bytes"
	"strings"
	"testing"
)

// FuzzReadItem reads any bytes as an answer: it ends, a value is never longer than allowed,
// and what is accepted is what the bytes say.
func FuzzReadItem(f *testing.F) {
	for _, seed := range []string{"END\r\n", "VALUE k 7 5 42\r\nhello\r\nEND\r\n", "VALUE k 0 5\r\nhel", "VALUE k 0 99999999999 1\r\n", "SERVER_ERROR x\r\n", "VALUE k 0 -1\r\n\n"} {
		f.Add([]byte(seed))
	}
	const max = 100
	f.Fuzz(func(t *testing.T, data []byte) {
		br := bufio.NewReader(bytes.NewReader(data))
		item, err := readItem(br, "k", max)
		if err != nil {
			return
		}
		if len(item.Value) > max || !bytes.HasPrefix(data, []byte("VALUE k ")) {
			t.Fatalf("accepted %q as %+v", data, item)
		}
		if !bytes.Contains(data, []byte("\r\n"+string(item.Value)+"\r\nEND\r\n")) {
			t.Fatalf("%q is not the value in %q", item.Value, data)
		}
	})
}

// FuzzKey makes keys that cannot end a command, and never one of two.
func FuzzKey(f *testing.F) {
	for _, seed := range []string{"", "/", "a b", "\r\nflush_all\r\n", strings.Repeat("x", 251)} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, key string) {
		got := Key(key)
		if got == "" || len(got) > maxKey || strings.ContainsFunc(got, func(r rune) bool { return r <= ' ' || r >= 0x7f }) {
			t.Fatalf("Key(%q) = %q", key, got)
		}
		if got != Key(got) {
			t.Fatalf("Key(%q) = %q is no key itself", key, got)
		}
	})
}
