package bindings_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// progressState is what progress.show tells.
type progressState struct {
	State    string `json:"state"`
	Received int64  `json:"received"`
	Sent     int64  `json:"sent"`
	Request  int64  `json:"request_size"`
	Status   int    `json:"status"`
}

func showProgress(t *testing.T, addr, id string) (s progressState) {
	t.Helper()
	resp, err := http.Get("http://" + addr + "/progress?X-Progress-ID=" + id)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if err := json.NewDecoder(resp.Body).Decode(&s); err != nil {
		t.Fatal(err)
	}
	return s
}

// awaitProgress waits for a state that is as wanted.
func awaitProgress(t *testing.T, addr, id string, wanted func(progressState) bool) progressState {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		s := showProgress(t, addr, id)
		if wanted(s) {
			return s
		}
		if time.Now().After(deadline) {
			t.Fatalf("the state stays %+v", s)
		}
	}
}

const progressSite = `actions = {
	when(request.path:eq "/progress", { progress.show() }),
	progress.track(),
	when(request.path:eq "/denied", { set_status(403), respond(403, "no") }),
	proxy %q,
}`

// The upload of a client that sends slowly, as its page sees it.
func TestProgressOfAnUpload(t *testing.T) {
	up := rawUpstream(t, func(c net.Conn, r *bufio.Reader) {
		readHead(r)
		io.CopyN(io.Discard, r, 100_000)
		io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nthere")
	})
	for name, serve := range frontEnds {
		t.Run(name, func(t *testing.T) {
			addr := serve(t, luaScript(t, fmt.Sprintf(progressSite, up)))
			if s := showProgress(t, addr, "one"); s.State != "unknown" {
				t.Errorf("before: %+v", s)
			}
			c, r := speak(t, addr, "POST /?X-Progress-ID=one HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n")
			for _, sent := range []int64{40_000, 60_000} {
				io.WriteString(c, strings.Repeat("x", int(sent)))
				if sent == 40_000 {
					s := awaitProgress(t, addr, "one", func(s progressState) bool { return s.Received == sent })
					if s.State != "running" || s.Request != 100_000 || s.Sent != 0 {
						t.Errorf("on the way: %+v", s)
					}
				}
			}
			if head := readHead(r); !strings.HasPrefix(head, "HTTP/1.1 200 ") {
				t.Fatalf("got %q", head)
			}
			s := awaitProgress(t, addr, "one", func(s progressState) bool { return s.State != "running" })
			if s.State != "done" || s.Received != 100_000 || s.Sent != 5 {
				t.Errorf("at the end: %+v", s)
			}
		})
	}
}

func TestProgressOfAFailure(t *testing.T) {
	gone := make(chan struct{})
	up := rawUpstream(t, func(c net.Conn, r *bufio.Reader) {
		readHead(r)
		io.Copy(io.Discard, r)
		close(gone)
	})
	addr := listenHTTP1(t, luaScript(t, fmt.Sprintf(progressSite, up)))

	c, _ := speak(t, addr, "POST /?X-Progress-ID=left HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\nabc")
	awaitProgress(t, addr, "left", func(s progressState) bool { return s.Received == 3 })
	c.Close()
	<-gone
	awaitProgress(t, addr, "left", func(s progressState) bool { return s.State == "error" && s.Status >= 400 })

	_, r := speak(t, addr, "POST /denied?X-Progress-ID=denied HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nab")
	readHead(r)
	awaitProgress(t, addr, "denied", func(s progressState) bool { return s.State == "error" && s.Status == 403 })
}
