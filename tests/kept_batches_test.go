package tests

import (
	"bufio"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// releases is a document root that is a link to one of many directories, whose files are old
// enough to be kept. The file f of each one says which it is.
type releases struct {
	t       *testing.T
	dir     string
	current atomic.Int64 // that was the current one at least
}

const manyReleases = 400

func newReleases(t *testing.T) *releases {
	x := &releases{t: t, dir: t.TempDir()}
	for i := range manyReleases {
		dir := filepath.Join(x.dir, strconv.Itoa(i))
		for _, err := range []error{os.Mkdir(dir, 0o755), os.WriteFile(dir+"/f", []byte(strconv.Itoa(i)), 0o644), os.Symlink(dir, x.dir+"/to"+strconv.Itoa(i))} {
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	x.release(0)
	time.Sleep(3100 * time.Millisecond) // what was changed just now is not kept
	return x
}

func (x *releases) release(i int) {
	if err := os.Rename(fmt.Sprintf("%s/to%d", x.dir, i), x.dir+"/current"); err != nil {
		x.t.Error(err)
	}
}

// answers reads n answers, the last of which is to be a release between the two.
func (x *releases) answers(c net.Conn, n int, least, most int64) bool {
	in := bufio.NewReader(c)
	for i := range n {
		resp, err := http.ReadResponse(in, nil)
		if err != nil {
			x.t.Error(err)
			return false
		}
		body, err := io.ReadAll(resp.Body)
		got, bad := strconv.ParseInt(string(body), 10, 64)
		if err != nil || bad != nil || i == n-1 && (got < least || got > most) {
			x.t.Errorf("answer %d of %d: got %q, %v; want a number from %d to %d", i+1, n, body, err, least, most)
			return false
		}
	}
	return true
}

// However a request comes, it sees what was changed before the end of it was sent, and what it has
// changed itself, while the loops have many others to serve.
func TestRequestsReadTogetherSeeEarlierChanges(t *testing.T) {
	t.Parallel()
	x := newReleases(t)
	addr := run(t, fmt.Sprintf(`setup.listen "$A"
		local dir = %q
		actions = {
			docroot(dir .. "/current"),
			when(request.query:ne "", function(vr) assert(os.rename(dir .. "/to" .. vr.req.uri.query, dir .. "/current")) end),
			when(request.path:eq "/changed", respond "0"),
			static(),
		}`, x.dir)).addr(0)
	connect := func() net.Conn {
		c, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		return c
	}
	const ask = "GET /f HTTP/1.1\r\nHost: a\r\n\r\n"
	var stop atomic.Bool
	var others sync.WaitGroup
	defer others.Wait()
	defer stop.Store(true)
	for range 32 {
		c := connect()
		others.Go(func() {
			for !stop.Load() {
				least := x.current.Load()
				io.WriteString(c, ask)
				if !x.answers(c, 1, least, manyReleases) {
					return
				}
			}
		})
	}
	ways := map[string]func(c net.Conn, release int) (answers int){
		"before": func(c net.Conn, release int) int {
			x.release(release)
			io.WriteString(c, ask)
			return 1
		},
		"in the middle": func(c net.Conn, release int) int {
			cut := 1 + rand.IntN(len(ask)-1)
			io.WriteString(c, ask[:cut])
			time.Sleep(time.Duration(rand.IntN(300)) * time.Microsecond)
			x.release(release)
			io.WriteString(c, ask[cut:])
			return 1
		},
		"behind another request": func(c net.Conn, release int) int {
			io.WriteString(c, ask)
			time.Sleep(time.Duration(rand.IntN(300)) * time.Microsecond)
			x.release(release)
			io.WriteString(c, ask)
			return 2
		},
		"by itself": func(c net.Conn, release int) int {
			fmt.Fprintf(c, "GET /f?%d HTTP/1.1\r\nHost: a\r\n\r\n", release)
			return 1
		},
		"by the request before it": func(c net.Conn, release int) int {
			fmt.Fprintf(c, "GET /changed?%d HTTP/1.1\r\nHost: a\r\n\r\n%s", release, ask)
			return 2
		},
	}
	c, release := connect(), 0
	for release+len(ways) < manyReleases && !t.Failed() {
		for name, way := range ways { // in any order
			release++
			if n := way(c, release); !x.answers(c, n, int64(release), int64(release)) {
				t.Fatalf("changed %s", name)
			}
			x.current.Store(int64(release))
			time.Sleep(time.Duration(rand.IntN(2000)) * time.Microsecond) // it is watched again
		}
	}
}
