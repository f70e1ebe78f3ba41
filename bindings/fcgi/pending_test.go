package fcgi

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"strconv"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"luaserve/bindings/upstream/upstreamtest"
)

// seen is all that a response says.
func seen(resp *Response, err error) string {
	if err != nil {
		return "error: " + err.Error()
	}
	target, local := resp.LocalRedirect()
	head := fmt.Sprintf("%d %q %d %s %v", resp.Status, resp.Header, resp.Length, target, local)
	body, err := io.ReadAll(resp.Body)
	resp.Body.Close()
	return fmt.Sprintf("%s %q %q %v", head, resp.Data, body, err)
}

// One Pending for many requests finds in each answer what Do finds.
func TestPendingIsUsedAgain(t *testing.T) {
	all := func(records ...[]byte) []byte { return bytes.Join(records, nil) }
	answers := [][]byte{
		all(stdout("Content-Type: text/plain\r\n\r\nhello"), end(0)),
		all(stdout("Content-Length: 3\r\n\r\n"), stdout("abc"), end(0)),
		all(rec(typeStderr, "a line\nthe beginning"), stdout("Status: 404 No\r\nA: 1\r\nB: 2\r\nC: 3\r\nD: 4\r\nE: 5\r\nF: 6\r\nG: 7\r\n\r\nx"), rec(typeStderr, " of one"), end(0)),
		all(stdout("Status: 204\r\n\r\n"), end(0)),
		all(stdout("Location: /there\r\n\r\n"), end(0)),
		all(stdout("X: y\r\n\r\n"), stdout(strings.Repeat("m", 3000)), stdout("rest"), end(0)),
		all(stdout("X: y\r\n\r\n"+strings.Repeat("l", 40000)), end(0)),
		all(stdout("Content-Length: 5\r\n\r\nshort"), stdout("too long"), end(0)),
		all(stdout("Content-Length: 9\r\n\r\nshort"), end(0)),
		all(end(0)),
		all(stdout("no head\r\n\r\n"), end(0)),
	}
	b := startBackend(t, func(p *peer) {
		for {
			r, err := p.request()
			if err != nil {
				return
			}
			n, _ := strconv.Atoi(r.get("N"))
			p.send(answers[n])
		}
	})
	plain, paused := b.client(t), b.client(t)
	rapid.Check(t, func(t *rapid.T) {
		var pending Pending
		for _, n := range rapid.SliceOfN(rapid.IntRange(0, len(answers)-1), 1, 20).Draw(t, "answers") {
			request := func(n int) *Request {
				return &Request{Params: []Param{{"N", strconv.Itoa(n)}}, Loop: upstreamtest.Loop{}}
			}
			var wantLines, lines []string
			want := seen(plain.Do(context.Background(), request(n), func(line string) { wantLines = append(wantLines, line) }))
			note := func(line string) { lines = append(lines, line) }
			if !paused.Start(context.Background(), request(n), note, &pending) {
				paused.Do(context.Background(), request(0), nil) // makes a connection
				if !paused.Start(context.Background(), request(n), note, &pending) {
					t.Fatal("a kept connection is not used")
				}
			}
			resp, again, err := pending.Resume(false)
			got := seen(resp, err)
			if again || got != want || fmt.Sprint(lines) != fmt.Sprint(wantLines) {
				t.Fatalf("answer %d: got %s and %q, want %s and %q", n, got, lines, want, wantLines)
			}
			if err != nil || resp.Data == nil || !pending.Free() {
				pending = Pending{}
			}
		}
	})
}
