package bindings_test

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	goruntime "runtime"
	"strings"
	"sync"
	"testing"
)

// Every level of every coding works, one request after another with the same encoder.
func TestDeflateLevels(t *testing.T) {
	for level := 1; level <= 9; level++ {
		site := luaScript(t, fmt.Sprintf(`actions = { respond %q, deflate { compression_level = %d } }`, deflateText, level))
		for i := range 8 {
			coding := []string{"gzip", "br", "zstd", "deflate"}[i%4]
			if r := site.ask("GET", "/", "Accept-Encoding", coding); r.Header.Get("Content-Encoding") != coding || decoded(t, r) != deflateText {
				t.Errorf("%s at level %d: wrong body", coding, level)
			}
		}
	}
}

// A piece of a slow stream reaches the client before the next one exists.
func TestDeflateStreams(t *testing.T) {
	for _, coding := range []string{"gzip", "deflate", "br", "zstd"} {
		source, feed := io.Pipe()
		site := luaScript(t, `actions = { test_source(), deflate() }`, withStream(source))
		_, r := speak(t, site.listen(t), "GET / HTTP/1.1\r\nHost: x\r\nAccept-Encoding: "+coding+"\r\n\r\n")
		io.WriteString(feed, "piece 0\n") // br and zstd have a head that comes with the first piece
		resp, err := http.ReadResponse(r, nil)
		if err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewReader(decoder(t, resp.Header.Get("Content-Encoding"), resp.Body))
		for i := range 4 {
			if line, err := lines.ReadString('\n'); line != fmt.Sprintf("piece %d\n", i) || err != nil {
				t.Fatalf("%s: got %q, %v", coding, line, err)
			}
			fmt.Fprintf(feed, "piece %d\n", i+1)
		}
		feed.Close()
		if rest, err := io.ReadAll(lines); string(rest) != "piece 4\n" || err != nil {
			t.Errorf("%s: got %q, %v", coding, rest, err)
		}
	}
}

// A huge file is never in memory, whatever it is compressed with.
func TestDeflateMemory(t *testing.T) {
	site := luaScript(t, `actions = { docroot "@DIR@", static(), deflate() }`)
	if err := os.WriteFile(filepath.Join(site.dir, "huge"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	const size = 96 << 20
	if err := os.Truncate(filepath.Join(site.dir, "huge"), size); err != nil {
		t.Fatal(err)
	}
	var before, after goruntime.MemStats
	goruntime.ReadMemStats(&before)
	r, err := http.NewRequest("GET", "http://"+site.listen(t)+"/huge", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Accept-Encoding", "zstd")
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if n, err := io.Copy(io.Discard, decoder(t, "zstd", resp.Body)); n != size || err != nil {
		t.Errorf("%d bytes, %v", n, err)
	}
	goruntime.ReadMemStats(&after)
	if used := after.TotalAlloc - before.TotalAlloc; used > 32<<20 {
		t.Errorf("%d bytes were allocated", used)
	}
}

// Encoders are reused; no request sees another one's bytes, also when clients go away.
func TestDeflateConcurrent(t *testing.T) {
	site := luaScript(t, `actions = { function(vr) vr:handle_direct(); vr.resp.status = 200; vr.out:add((vr.req.uri.path .. "\n"):rep(20000)) end, deflate() }`)
	addr := site.listen(t)
	var wg sync.WaitGroup
	for i := range 40 {
		wg.Go(func() {
			coding := []string{"gzip", "br", "zstd", "deflate"}[i%4]
			path := fmt.Sprintf("/request-%d", i)
			c, r := speak(t, addr, "GET "+path+" HTTP/1.1\r\nHost: x\r\nAccept-Encoding: "+coding+"\r\nConnection: close\r\n\r\n")
			if i%5 == 0 {
				r.ReadByte()
				c.Close()
				return
			}
			resp, err := http.ReadResponse(r, nil)
			if err != nil {
				t.Error(err)
				return
			}
			if body := decoded(t, resp); body != strings.Repeat(path+"\n", 20000) {
				t.Errorf("%s: wrong body", path)
			}
		})
	}
	wg.Wait()
}
