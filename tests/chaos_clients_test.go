//go:build linux

package tests

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"
)

// crowd are clients that ask for what they know, and compare each answer that is complete.
type crowd struct {
	chaos   *chaos
	clients []*http.Client

	mu    sync.Mutex
	whole map[string]int // complete and right answers with 200 or 206, by what was asked for
	other map[string]int // the others that may be
	cut   map[string]int // answers that were not complete, or did not come
}

// visit is one thing that a client does.
type visit struct {
	name string
	do   func(c *crowd, client *http.Client) (status int, err error)
	may  []int // statuses besides 200 and 206 that it may get while everything breaks
}

// errWrong marks an answer that looks complete and is not what was asked for.
type errWrong struct{ text string }

func (e errWrong) Error() string { return e.text }

var (
	// without a descriptor a file cannot be opened
	noFile = []int{500, 503}
	// nor a connection to a backend, which may be dead besides
	noBackend = []int{502, 503, 504}
)

var visits = []visit{
	{"file", func(c *crowd, client *http.Client) (int, error) {
		i := rand.IntN(len(fileSizes))
		return c.get(client, fmt.Sprintf("/file%d", i), content(i, fileSizes[i]))
	}, noFile},
	{"range", func(c *crowd, client *http.Client) (int, error) {
		whole := content(1, fileSizes[1])
		from := rand.IntN(len(whole) - 1)
		to := from + rand.IntN(len(whole)-from)
		return c.get(client, "/file1", whole[from:to+1], "Range", fmt.Sprintf("bytes=%d-%d", from, to))
	}, noFile},
	{"changing file", changingFile, noFile},
	{"vanishing file", func(c *crowd, client *http.Client) (int, error) {
		return c.get(client, "/gone/file", content(7, 1000))
	}, append([]int{403, 404}, noFile...)},
	{"compressed", func(c *crowd, client *http.Client) (int, error) {
		return c.get(client, "/cached/text.txt", nil, "Accept-Encoding", "gzip")
	}, noFile},
	{"Lua", func(c *crowd, client *http.Client) (int, error) {
		n := rand.IntN(30_000)
		body := bytes.Repeat([]byte("lua"), n/3)
		return c.ask(client, "POST", fmt.Sprint("/lua?", n), body, append([]byte(fmt.Sprint(n, ":")), bytes.ToUpper(body)...))
	}, nil},
	{"FastCGI", func(c *crowd, client *http.Client) (int, error) { return c.backend(client, "/fcgi?") }, noBackend},
	{"proxy", func(c *crowd, client *http.Client) (int, error) { return c.backend(client, "/http?") }, noBackend},
	{"FastCGI upload", func(c *crowd, client *http.Client) (int, error) { return c.upload(client, "/fcgi") }, noBackend},
	{"proxy upload", func(c *crowd, client *http.Client) (int, error) { return c.upload(client, "/http") }, noBackend},
	{"Lua error", func(c *crowd, client *http.Client) (int, error) { return c.get(client, "/fails", nil) }, []int{500}},
	{"slow", slowVisit, noFile},
	{"reads slowly", func(c *crowd, _ *http.Client) (int, error) { return c.readSlowly(0) }, append([]int{500}, noBackend...)},
	{"leaves", leavingVisit, noFile},
	{"garbage", garbageVisit, nil},
}

// stay makes visits until the context ends.
func (c *crowd) stay(ctx context.Context) {
	for ctx.Err() == nil {
		v := visits[rand.IntN(len(visits))]
		c.visit(v, c.clients[rand.IntN(len(c.clients))])
	}
}

// visit makes one visit, and reports whether it got a complete answer with 200 or 206.
func (c *crowd) visit(v visit, client *http.Client) bool {
	status, err := v.do(c, client)
	allowed := status == 200 || status == 206
	for _, may := range v.may {
		allowed = allowed || status == may
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	wrong, isWrong := err.(errWrong)
	switch {
	case isWrong:
		c.chaos.t.Errorf("%s: %s", v.name, wrong.text)
	case err != nil:
		c.cut[v.name]++
	case !allowed:
		c.chaos.t.Errorf("%s: status %d", v.name, status)
	case status == 200 || status == 206:
		c.whole[v.name]++
		return true
	default:
		c.other[v.name]++
	}
	return false
}

func (c *crowd) get(client *http.Client, path string, want []byte, header ...string) (int, error) {
	return c.ask(client, "GET", path, nil, want, header...)
}

// ask returns the status of a complete answer. A body with 200 or 206 must be the wanted one, if any
// is.
func (c *crowd) ask(client *http.Client, method, path string, body, want []byte, header ...string) (int, error) {
	status, got, err := c.fetch(client, method, path, body, header...)
	if err == nil && want != nil && (status == 200 || status == 206) && !bytes.Equal(got, want) {
		return status, errWrong{fmt.Sprintf("%s %s: a complete answer of %d bytes is not the %d that it should be", method, path, len(got), len(want))}
	}
	return status, err
}

func (c *crowd) fetch(client *http.Client, method, path string, body []byte, header ...string) (int, []byte, error) {
	origin := "http://site.example"
	if client != c.clients[0] {
		origin = "https://site.example"
	}
	req, err := http.NewRequest(method, origin+path, bytes.NewReader(body))
	if err != nil {
		return 0, nil, err
	}
	if len(body)%2 == 1 {
		req.ContentLength = -1 // in chunks
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := client.Do(req)
	if err != nil {
		return 0, nil, err
	}
	defer resp.Body.Close()
	from := io.Reader(resp.Body)
	if path == "/changing" {
		from = slowReader{from}
	}
	got, err := io.ReadAll(from)
	return resp.StatusCode, got, err
}

// slowReader leaves a file the time to change while it is sent.
type slowReader struct{ io.Reader }

func (r slowReader) Read(p []byte) (int, error) {
	time.Sleep(200 * time.Microsecond)
	return r.Reader.Read(p)
}

// whereWrong says what of an answer is not that of the version that it begins with.
func whereWrong(got []byte) string {
	seed, _ := contentOf(got, versions)
	want := content(seed, len(got))
	first, last, n := -1, -1, 0
	for i := range got {
		if got[i] != want[i] {
			if first < 0 {
				first = i
			}
			last = i
			n++
		}
	}
	return fmt.Sprintf("version %d, %d bytes differ, %d to %d, there %x", seed, n, first, last, got[max(first, 0):min(max(first, 0)+16, len(got))])
}

// mendCut undoes what the kernel does to a file that is truncated while it is on its way out of
// the page cache: of the memory that the new end is in, up to two megabytes, what is behind the
// end becomes zero, also for a sendfile that has begun. No server that uses it can help that.
func mendCut(got []byte) {
	const largest = 2 << 20
	end := (changingSize/2 + largest - 1) / largest * largest
	seed, ok := contentOf(got[:min(len(got), changingSize/2)], versions)
	if !ok || len(got) < end {
		return
	}
	want := content(seed, end)
	for i := changingSize / 2; i < end; i++ {
		if got[i] == 0 {
			got[i] = want[i]
		}
	}
}

// changingFile asks for a file that is replaced and truncated: all of one version, or its first half.
func changingFile(c *crowd, client *http.Client) (int, error) {
	status, got, err := c.fetch(client, "GET", "/changing", nil)
	if err != nil || status != 200 {
		return status, err
	}
	mendCut(got)
	if _, ok := contentOf(got, versions); !ok || len(got) != changingSize && len(got) != changingSize/2 {
		return status, errWrong{fmt.Sprintf("a complete answer of %d bytes is no version of the file: %s", len(got), whereWrong(got))}
	}
	return status, nil
}

func (c *crowd) backend(client *http.Client, path string) (int, error) {
	seed, n := rand.IntN(1000), 1+rand.IntN(200_000)
	return c.get(client, fmt.Sprintf("%s&seed=%d&n=%d", path, seed, n), content(seed, n))
}

// slowly makes visits whose answers take a while, of each protocol on both sides.
func (c *crowd) slowly(wg *sync.WaitGroup) {
	for _, v := range []visit{
		{"slow FastCGI", func(c *crowd, client *http.Client) (int, error) { return c.backend(client, "/fcgi?slow=1") }, noBackend},
		{"slow proxy", func(c *crowd, client *http.Client) (int, error) { return c.backend(client, "/http?slow=1") }, noBackend},
	} {
		for _, client := range c.clients {
			wg.Go(func() { c.visit(v, client) })
		}
	}
}

func (c *crowd) upload(client *http.Client, path string) (int, error) {
	body := content(rand.IntN(1000), 1+rand.IntN(200_000))
	sum := sha256.Sum256(body)
	return c.ask(client, "POST", path, body, []byte(hex.EncodeToString(sum[:])))
}

// talk is for clients that net/http has none of.
func (c *crowd) talk(do func(conn net.Conn) (int, error)) (int, error) {
	conn, err := net.DialTimeout("tcp", c.chaos.plain, 10*time.Second)
	if err != nil {
		return 0, err
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(20 * time.Second))
	return do(conn)
}

// slowVisit sends a byte at a time, and reads a little at a time.
func slowVisit(c *crowd, _ *http.Client) (int, error) {
	return c.talk(func(conn net.Conn) (int, error) {
		for _, b := range []byte("GET /file1 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n") {
			if _, err := conn.Write([]byte{b}); err != nil {
				return 0, err
			}
			time.Sleep(time.Millisecond)
		}
		var all []byte
		for buf := make([]byte, 8<<10); ; time.Sleep(2 * time.Millisecond) {
			n, err := conn.Read(buf)
			all = append(all, buf[:n]...)
			if err == io.EOF {
				break
			}
			if err != nil {
				return 0, err
			}
		}
		return parseWhole(all, content(1, fileSizes[1]))
	})
}

// readSlowly takes much of an answer a little at a time, from a file or a backend, so that the
// server has to wait; once it takes nothing for a while. For longer than write_timeout it is cut off.
func (c *crowd) readSlowly(rest time.Duration) (int, error) {
	seed, n := rand.IntN(1000), 3_000_000+rand.IntN(200_000)
	path, want := "/file2", content(2, fileSizes[2])
	if kind := rand.IntN(3); kind > 0 {
		path, want = fmt.Sprintf("%s?seed=%d&n=%d", []string{"/fcgi", "/http"}[kind-1], seed, n), content(seed, n)
	}
	return c.talk(func(conn net.Conn) (int, error) {
		conn.(*net.TCPConn).SetReadBuffer(64 << 10)
		fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", path)
		resp, err := http.ReadResponse(bufio.NewReaderSize(sippingConn{conn}, 32<<10), nil)
		if err != nil {
			return 0, err
		}
		time.Sleep(rest)
		got, err := io.ReadAll(resp.Body)
		if err == nil && resp.StatusCode == 200 && !bytes.Equal(got, want) {
			err = errWrong{fmt.Sprintf("%s: a complete answer of %d bytes is not the %d that it should be: %s", path, len(got), len(want), whereWrong(got))}
		}
		return resp.StatusCode, err
	})
}

// sippingConn reads a little at a time.
type sippingConn struct{ net.Conn }

func (r sippingConn) Read(p []byte) (int, error) {
	time.Sleep(2 * time.Millisecond)
	return r.Conn.Read(p[:min(len(p), 32<<10)])
}

// parseWhole takes an answer with a Content-Length apart.
func parseWhole(all, want []byte) (int, error) {
	resp, err := http.ReadResponse(newReader(all), nil)
	if err != nil {
		return 0, err
	}
	got, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode == 200 && !bytes.Equal(got, want) {
		err = errWrong{fmt.Sprintf("a complete answer of %d bytes is not the %d that it should be", len(got), len(want))}
	}
	return resp.StatusCode, err
}

// leavingVisit goes away in the middle of an answer, or of a request.
func leavingVisit(c *crowd, _ *http.Client) (int, error) {
	return c.talk(func(conn net.Conn) (int, error) {
		if rand.IntN(2) == 0 {
			_, err := io.WriteString(conn, "POST /fcgi HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n"+strings.Repeat("x", rand.IntN(90_000)))
			return 200, err
		}
		if _, err := io.WriteString(conn, "GET /file2 HTTP/1.1\r\nHost: a\r\n\r\n"); err != nil {
			return 0, err
		}
		_, err := io.CopyN(io.Discard, conn, int64(rand.IntN(100_000)))
		return 200, err
	})
}

// garbageVisit sends what is no request. It must not be answered as if it were one.
func garbageVisit(c *crowd, _ *http.Client) (int, error) {
	return c.talk(func(conn net.Conn) (int, error) {
		junk := content(rand.IntN(1000), 1+rand.IntN(3000))
		if _, err := conn.Write(append(junk, "\r\n\r\n"...)); err != nil {
			return 0, err
		}
		got, err := io.ReadAll(conn)
		if bytes.HasPrefix(got, []byte("HTTP/1.1 2")) || bytes.HasPrefix(got, []byte("HTTP/1.0 2")) {
			return 0, errWrong{fmt.Sprintf("%.60q was answered with %.60q", junk, got)}
		}
		return 200, err
	})
}
