package http1_test

import (
	"bufio"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"luaserve/runtime"
	"luaserve/server/http1"
)

// A request belongs to a batch when all of it was read before any of the batch was handled, as
// long as it has not waited and nothing was answered on its connection meanwhile.
func TestBatches(t *testing.T) {
	type asked struct{ before, behind bool }
	results := make(chan asked, 10)
	addr, _ := serveWatched(t, http1.Config{}, func(ex runtime.Exchange) *runtime.Reply {
		var a asked
		a.before = ex.(runtime.Batcher).Batch() != nil
		switch ex.Target() {
		case "/waits":
			ex.(runtime.Waiter).Waits()
		case "/context":
			ex.Context()
		}
		a.behind = ex.(runtime.Batcher).Batch() != nil
		results <- a
		return stream(strings.NewReader("ok"), 2)
	})
	const (
		head  = " HTTP/1.1\r\nHost: a\r\n"
		plain = "GET /" + head + "\r\n"
	)
	in, alone := asked{true, true}, asked{}
	for name, test := range map[string]struct {
		text string
		want []asked
	}{
		"one":                {plain, []asked{in}},
		"that waits":         {"GET /waits" + head + "\r\n", []asked{{before: true}}},
		"that may wait":      {"GET /context" + head + "\r\n", []asked{{before: true}}},
		"several":            {plain + plain + plain, []asked{in, alone, alone}},
		"with a body":        {"POST /" + head + "Content-Length: 1\r\n\r\nx" + plain, []asked{alone, alone}},
		"with a chunked one": {"POST /" + head + "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", []asked{alone}},
		"too long for it":    {"GET /" + head + "X: " + strings.Repeat("x", 5000) + "\r\n\r\n", []asked{alone}},
	} {
		t.Run(name, func(t *testing.T) {
			c := dial(t, addr)
			back := bufio.NewReader(c)
			seen := map[asked]bool{}
			end := time.Now().Add(30 * time.Second)
			// also over a connection that was in use; and until one is in a batch, as those that a
			// slow loop was passed on for are alone
			for n := 0; n < 20 || !seen[test.want[0]] && time.Now().Before(end); n++ {
				io.WriteString(c, test.text)
				for i, want := range test.want {
					resp, err := http.ReadResponse(back, nil)
					if err != nil {
						t.Fatal(err)
					}
					io.Copy(io.Discard, resp.Body)
					got := <-results
					if got.before && !want.before || got.behind && !want.behind {
						t.Fatalf("request %d: got %+v, want %+v", i, got, want)
					}
					seen[got] = true
				}
			}
			if !seen[test.want[0]] {
				t.Errorf("got %+v, want %+v among them", seen, test.want[0])
			}
		})
	}
}
