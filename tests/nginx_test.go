package tests

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"luaserve/tests/backend"
)

// TestNginx has a real nginx as the upstream of proxy, over TCP and over a unix socket.
func TestNginx(t *testing.T) {
	n := startNginx(t)
	for name, address := range map[string]string{"TCP": n.tcp, "unix": "unix:" + n.unix} {
		t.Run(name, func(t *testing.T) {
			site := fmt.Sprintf("http://127.0.0.1:%d", serveScript(t, io.Discard, fmt.Sprintf("proxy %q", address)))
			t.Run("keep-alive", func(t *testing.T) { testNginxKeepAlive(t, site) })
			t.Run("bodies", func(t *testing.T) { testNginxBodies(t, n, site) })
			t.Run("conditions and ranges", func(t *testing.T) { testNginxParts(t, n, site) })
			t.Run("restart", func(t *testing.T) { testNginxRestart(t, n, site) })
		})
	}
}

// nginx is a process with a configuration and files of its own.
type nginx struct {
	binary, dir string
	tcp, unix   string // where it listens
	process     *os.Process
	stop        func()
}

const nginxConfig = `
daemon off;
pid @DIR@/pid;
error_log stderr;
@USER@
events {}
http {
	access_log off;
	client_body_temp_path @DIR@/body;
	proxy_temp_path @DIR@/proxy;
	fastcgi_temp_path @DIR@/fastcgi;
	uwsgi_temp_path @DIR@/uwsgi;
	scgi_temp_path @DIR@/scgi;
	client_max_body_size 0;
	default_type text/plain;
	server {
		listen @TCP@;
		listen unix:@DIR@/s;
		root @DIR@/www;
		location = /generation { return 200 "@GENERATION@"; }
		location = /count { return 200 "$connection $connection_requests"; }
		location /chunked/ { alias @DIR@/www/; ssi on; ssi_types *; }
		location /put/ { dav_methods PUT; }
	}
}
`

func startNginx(t *testing.T) *nginx {
	t.Helper()
	binary, err := exec.LookPath("nginx")
	if err != nil {
		binary = "/usr/sbin/nginx"
		if _, err := os.Stat(binary); err != nil {
			backend.Missing(t, "nginx is not installed (Debian: nginx-light)")
		}
	}
	n := &nginx{binary: binary, dir: shortDir(t), tcp: fmt.Sprintf("127.0.0.1:%d", freePort(t))}
	n.unix = n.dir + "/s"
	if err := os.MkdirAll(n.dir+"/www/put", 0o755); err != nil {
		t.Fatal(err)
	}
	n.configure(t, "0")
	n.start(t)
	t.Cleanup(func() { n.stop() })
	return n
}

// configure writes the configuration; generation tells it from others.
func (n *nginx) configure(t *testing.T, generation string) {
	t.Helper()
	user := ""
	if os.Geteuid() == 0 {
		user = "user root;"
	}
	values := strings.NewReplacer("@DIR@", n.dir, "@TCP@", n.tcp, "@USER@", user, "@GENERATION@", generation)
	n.write(t, "nginx.conf", []byte(values.Replace(nginxConfig)))
}

// reload has a new configuration take over.
func (n *nginx) reload(t *testing.T, generation string) {
	t.Helper()
	n.configure(t, generation)
	if err := n.process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	for {
		got, err := ask("GET", "http://"+n.tcp+"/generation", nil, "Connection", "close")
		if err != nil {
			t.Fatal(err)
		}
		if got.body == generation {
			return
		}
		time.Sleep(time.Millisecond)
	}
}

func (n *nginx) write(t *testing.T, name string, data []byte) {
	t.Helper()
	if err := os.WriteFile(n.dir+"/"+name, data, 0o644); err != nil {
		t.Fatal(err)
	}
}

// start runs nginx and waits until it answers.
func (n *nginx) start(t *testing.T) {
	t.Helper()
	out := &logBuffer{}
	cmd := exec.Command(n.binary, "-p", n.dir, "-e", "stderr", "-c", n.dir+"/nginx.conf")
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	n.process = cmd.Process
	ended := make(chan struct{})
	go func() {
		cmd.Wait()
		close(ended)
	}()
	n.stop = sync.OnceFunc(func() {
		cmd.Process.Signal(syscall.SIGTERM)
		<-ended
	})
	for !answers("tcp", n.tcp) || !answers("unix", n.unix) {
		select {
		case <-ended:
			t.Fatalf("nginx ended:\n%s", out)
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// answers reports whether a HTTP server answers. Before that it may listen, but not yet know
// what to do with signals.
func answers(network, address string) bool {
	c, err := net.Dial(network, address)
	if err != nil {
		return false
	}
	defer c.Close()
	io.WriteString(c, "GET / HTTP/1.0\r\n\r\n")
	got, err := io.ReadAll(c)
	return err == nil && len(got) > 0
}

// reply is an answer that was read to its end.
type reply struct {
	*http.Response
	body string
}

// ask sends a request; header has pairs of names and values.
func ask(method, url string, body io.Reader, header ...string) (reply, error) {
	r, err := http.NewRequest(method, url, body)
	if err != nil {
		return reply{}, err
	}
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	r.Header.Set("Accept-Encoding", "identity")
	resp, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		return reply{}, err
	}
	defer resp.Body.Close()
	got, err := io.ReadAll(resp.Body)
	return reply{resp, string(got)}, err
}

func mustAsk(t *testing.T, method, url string, body io.Reader, header ...string) reply {
	t.Helper()
	r, err := ask(method, url, body, header...)
	if err != nil {
		t.Fatalf("%s %s: %v", method, url, err)
	}
	return r
}

// GET goes over the connection of the request before, POST over a new one in its place. A client
// may ask again before the server, on a busy machine, has put back what its last answer came over.
func testNginxKeepAlive(t *testing.T, site string) {
	var wrong []string
	for range 5 {
		if wrong = connectionsOf(t, site, "POST", "GET", "GET", "POST", "GET"); wrong == nil {
			return
		}
	}
	t.Error(strings.Join(wrong, "\n"))
}

// connectionsOf makes requests one after another, and says which did not come over the connection
// that they should.
func connectionsOf(t *testing.T, site string, methods ...string) (wrong []string) {
	connection, count := "", 0
	for i, method := range methods {
		got := mustAsk(t, method, site+"/count", nil)
		on, requests, _ := strings.Cut(got.body, " ")
		if same := on == connection; same != (method != "POST") {
			wrong = append(wrong, fmt.Sprintf("%d. %s: connection %s behind %s", i, method, on, connection))
		}
		if on != connection {
			connection, count = on, 0
		}
		if count++; requests != strconv.Itoa(count) {
			wrong = append(wrong, fmt.Sprintf("%d. %s: request %s of its connection, want %d", i, method, requests, count))
		}
	}
	return wrong
}

// 20 MB go up with a length and in chunks, and come down with a length and in chunks.
func testNginxBodies(t *testing.T, n *nginx, site string) {
	data := make([]byte, 20<<20)
	for i := range data {
		data[i] = 'a' + byte(rand.Uint32()%16) // nothing that SSI knows
	}
	uploads := map[string]func() io.Reader{
		"length": func() io.Reader { return bytes.NewReader(data) },
		"chunks": func() io.Reader { return io.MultiReader(bytes.NewReader(data)) },
	}
	for name, body := range uploads {
		if got := mustAsk(t, "PUT", site+"/put/"+name, body()); got.StatusCode != 201 && got.StatusCode != 204 {
			t.Errorf("PUT %s: %s", name, got.Status)
		}
		if got, err := os.ReadFile(n.dir + "/www/put/" + name); err != nil || !bytes.Equal(got, data) {
			t.Errorf("PUT %s: %d bytes arrived, %v", name, len(got), err)
		}
	}
	for path, length := range map[string]int64{"/put/length": int64(len(data)), "/chunked/put/length": -1} {
		got := mustAsk(t, "GET", site+path, nil)
		if got.StatusCode != 200 || got.ContentLength != length || got.body != string(data) {
			t.Errorf("GET %s: %s, length %d, %d bytes", path, got.Status, got.ContentLength, len(got.body))
		}
	}
}

// nginx answers conditions and ranges, and proxy leaves its answers as they are.
func testNginxParts(t *testing.T, n *nginx, site string) {
	n.write(t, "www/a.txt", []byte("0123456789"))
	url := site + "/a.txt"
	etag := mustAsk(t, "GET", url, nil).Header.Get("ETag")
	const ownPage = -2 // a body that nginx makes up
	for _, tt := range []struct {
		method, field, value string
		status               int
		length               int64
		body                 string
		header, want         string
	}{
		{"GET", "X", "y", 200, 10, "0123456789", "Accept-Ranges", "bytes"},
		{"HEAD", "X", "y", 200, 10, "", "Etag", etag},
		{"GET", "If-None-Match", etag, 304, 0, "", "Etag", etag},
		{"HEAD", "If-None-Match", etag, 304, -1, "", "Etag", etag},
		{"GET", "If-None-Match", `"other"`, 200, 10, "0123456789", "Etag", etag},
		{"GET", "If-Match", `"other"`, 412, ownPage, "", "", ""},
		{"GET", "Range", "bytes=2-4", 206, 3, "234", "Content-Range", "bytes 2-4/10"},
		{"GET", "Range", "bytes=-1", 206, 1, "9", "Content-Range", "bytes 9-9/10"},
		{"GET", "Range", "bytes=20-", 416, ownPage, "", "Content-Range", "bytes */10"},
		{"GET", "X", "y", 200, 10, "0123456789", "Content-Type", "text/plain"},
	} {
		got := mustAsk(t, tt.method, url, nil, tt.field, tt.value)
		if got.StatusCode != tt.status || got.Header.Get(tt.header) != tt.want {
			t.Errorf("%s %s: %s got %s, %s: %q", tt.method, tt.field, tt.value, got.Status, tt.header, got.Header.Get(tt.header))
		}
		if tt.length != ownPage && (got.body != tt.body || got.ContentLength != tt.length) {
			t.Errorf("%s %s: %s got %q, length %d", tt.method, tt.field, tt.value, got.body, got.ContentLength)
		}
	}
	got := mustAsk(t, "GET", url, nil, "Range", "bytes=0-1,8-9")
	if got.StatusCode != 206 || !strings.HasPrefix(got.Header.Get("Content-Type"), "multipart/byteranges; boundary=") ||
		!strings.Contains(got.body, "Content-Range: bytes 0-1/10\r\n\r\n01\r\n") || !strings.Contains(got.body, "Content-Range: bytes 8-9/10\r\n\r\n89\r\n") {
		t.Errorf("several ranges: got %s\n%s", got.Status, got.body)
	}
}

// Nothing of a restart is seen when it falls between two requests, nor of a reload in the midst
// of them; while nginx is away the answer is a 503.
func testNginxRestart(t *testing.T, n *nginx, site string) {
	n.write(t, "www/a.txt", []byte("0123456789"))
	url := site + "/a.txt"
	want := func(status int) {
		t.Helper()
		if got := mustAsk(t, "GET", url, nil); got.StatusCode != status {
			t.Errorf("got %s, want %d", got.Status, status)
		}
	}
	want(200)
	n.stop()
	n.start(t)
	want(200)
	n.stop()
	want(503)
	n.start(t)
	want(200)

	var clients sync.WaitGroup
	var reloaded atomic.Bool
	defer clients.Wait()
	defer reloaded.Store(true)
	for range 8 {
		clients.Go(func() {
			for last := false; !last; {
				last = reloaded.Load() // one more when it is over
				if got, err := ask("GET", url, nil); err != nil || got.StatusCode != 200 || got.body != "0123456789" {
					t.Errorf("in a reload: got %q, %v", got.body, err)
					return
				}
			}
		})
	}
	for i := range 3 {
		n.reload(t, fmt.Sprintf("%s %d", t.Name(), i))
	}
}
