package tests

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"luaserve/tests/pki"
)

// What clients have got out of other servers with, against the whole server. Where no row says
// else, what lies in a file that is named secret must not get out.

// writeTree writes files below a directory; what the path says is in them: "public" or "secret".
func writeTree(t *testing.T, dir string, names ...string) {
	t.Helper()
	for _, name := range names {
		text := "public\n"
		if strings.Contains(name, "secret") {
			text = "secret\n"
		}
		if err := writeOld(filepath.Join(dir, name), []byte(text)); err != nil {
			t.Fatal(err)
		}
	}
}

func link(t *testing.T, target, name string) {
	t.Helper()
	if err := os.Symlink(target, name); err != nil {
		t.Fatal(err)
	}
}

// sendRaw sends bytes and returns all answers until the server closes.
func sendRaw(t *testing.T, addr, raw string) []*answer {
	t.Helper()
	_, port, _ := net.SplitHostPort(addr)
	n, _ := strconv.Atoi(port)
	c, err := dial(n)
	if err != nil {
		t.Fatal(err)
	}
	defer c.conn.Close()
	c.send([]byte(raw))
	var all []*answer
	for {
		a := c.readAnswer(methodOf(raw))
		if a.noResponse {
			return all
		}
		all = append(all, a)
		if a.status == 0 || a.timeout || a.truncated || a.malformed != "" {
			t.Errorf("%.80q: %s", raw, a.describe())
			return all
		}
	}
}

var hostilePaths = []struct {
	path string
	want int
}{
	{"/a.txt", 200},
	{"/x/../a.txt", 200},
	{"//a.txt", 200},
	{"/./a.txt", 200},
	{"/%61.txt", 200},
	{"/i/i.png", 200},
	{"/linked/i.png", 200}, // a link, to elsewhere inside

	// out of the document root
	{"/../secret.txt", 404},
	{"/%2e%2e/secret.txt", 404},
	{"/%2E%2e/%2e%2E/secret.txt", 404},
	{"/..%2fsecret.txt", 404},
	{"/%2e%2e%2fsecret.txt", 404},
	{"/.%2e/secret.txt", 404},
	{"/x/../../secret.txt", 404},
	{"/x/%2e%2e/%2e%2e/secret.txt", 404},
	{"/%252e%252e/secret.txt", 404},
	{"/..;/secret.txt", 404},
	{"/..%5csecret.txt", 404},
	{"/%5c..%5csecret.txt", 404},
	{`/..\secret.txt`, 404},
	{"//../secret.txt", 404},
	{"/./../secret.txt", 404},
	{"/.../secret.txt", 404},
	{"/%c0%ae%c0%ae/secret.txt", 404},              // overlong UTF-8 of a dot
	{"/%e0%80%ae%e0%80%ae/secret.txt", 404},        // three bytes
	{"/%c0%ae%c0%ae%c0%afsecret.txt", 404},         // and of a slash
	{"/%ef%bc%8e%ef%bc%8e/secret.txt", 404},        // full-width dots
	{"/%u002e%u002e/secret.txt", 404},              // as IIS decoded
	{"/../www-secret/x", 404},                      // a sibling that begins alike
	{"/-secret/x", 404},                            //
	{"/../../../../../../../../etc/passwd", 404},   //
	{"/" + strings.Repeat("../", 2000) + "x", 404}, // deep

	// NUL and control characters
	{"/a.txt%00", 404},
	{"/a.txt%00.png", 404},
	{"/secret%00/../a.txt", 200}, // the segment before ".." is gone, whatever it is
	{"/a.txt%0a", 404},
	{"/a.txt%0d%0aX:%20y", 404},
	{"/a.txt%7f", 404},

	// alias off by a slash, and its siblings
	{"/i../secret.txt", 404},
	{"/i%2e%2e/secret.txt", 404},
	{"/i/../secret.txt", 404},
	{"/i/%2e%2e/secret.txt", 404},
	{"/i-secret/x", 404},
	{"/icons-secret/x", 404},
	{"/i//../../secret.txt", 404},

	// links out of the root
	{"/out.txt", 403},
	{"/out/secret.txt", 403},
	{"/i/out.txt", 403},
	{"/fifo", 403},

	// what is no absolute path
	{"secret.txt", 400},
	{"../secret.txt", 400},
	{"%2fa.txt", 400},
	{"/a.txt#x", 400},
}

func TestHostilePaths(t *testing.T) {
	dir := t.TempDir()
	ca := pki.Authority(t, "CA")
	ca.Server(t, "site.example").Write(t, dir+"/site.pem")
	writeTree(t, dir, "www/a.txt", "secret.txt", "www-secret/x", "icons/i.png", "icons-secret/x", "www/inside/i.png")
	link(t, "inside", dir+"/www/linked")
	link(t, dir+"/secret.txt", dir+"/www/out.txt")
	link(t, "..", dir+"/www/out")
	link(t, "../secret.txt", dir+"/icons/out.txt")
	if err := syscall.Mkfifo(dir+"/www/fifo", 0o644); err != nil {
		t.Fatal(err)
	}
	r := run(t, strings.ReplaceAll(`
		setup.listen "$A"
		setup.openssl { listen = "$B", pemfile = "$DIR/site.pem" }
		actions = { docroot "$DIR/www", alias { ["/i"] = "$DIR/icons/" }, static() }`, "$DIR", dir))
	for _, c := range hostilePaths {
		answers := sendRaw(t, r.addr(0), "GET "+c.path+" HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
		if len(answers) != 1 {
			t.Errorf("%.80s: %d answers", c.path, len(answers))
			continue
		}
		checkHostile(t, "HTTP/1.1", c.path, answers[0].status, answers[0].body, c.want)
	}
	client := tlsClient(t, r.addr(1), trusting(ca.Pool()), true)
	for _, c := range hostilePaths {
		if !strings.HasPrefix(c.path, "/") || strings.HasPrefix(c.path, "//") || strings.Contains(c.path, "%u") {
			continue // net/http does not send it, or not take it
		}
		resp, err := client.Do(&http.Request{Method: "GET", URL: &url.URL{Scheme: "https", Host: "site.example", Opaque: c.path}, Header: http.Header{}})
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		if resp.Body.Close(); err != nil || resp.ProtoMajor != 2 {
			t.Errorf("%s: %s, %v", c.path, resp.Proto, err)
		}
		checkHostile(t, "HTTP/2", c.path, resp.StatusCode, body, c.want)
	}
}

func checkHostile(t *testing.T, protocol, path string, status int, body []byte, want int) {
	t.Helper()
	if status != want || bytes.Contains(body, []byte("secret")) || bytes.Contains(body, []byte("root:")) || status == 200 != (string(body) == "public\n") {
		t.Errorf("%s %.80s: status %d, body %.60q; want %d", protocol, path, status, body, want)
	}
}

// A link is swapped as fast as it goes while ten thousand requests follow it: inside or 403 or
// 404, and never a byte from outside.
func TestSwappedLinks(t *testing.T) {
	dir := t.TempDir()
	writeTree(t, dir, "www/real/f", "secret/f")
	r := run(t, fmt.Sprintf(`
		setup.listen "$A"
		actions = { docroot "%s/www", static() }`, dir))
	stop := make(chan struct{})
	var swapper sync.WaitGroup
	swapper.Go(func() {
		name := dir + "/www/d"
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			default:
			}
			os.Symlink([]string{"real", "../secret", dir + "/www/real", dir + "/secret"}[i%4], name+".new")
			os.Rename(name+".new", name)
		}
	})
	seen := map[int]int{}
	var mu sync.Mutex
	var clients sync.WaitGroup
	for range 4 {
		clients.Go(func() {
			c, err := net.Dial("tcp", r.addr(0))
			if err != nil {
				t.Error(err)
				return
			}
			defer c.Close()
			c.SetDeadline(time.Now().Add(2 * time.Minute))
			answers := bufio.NewReader(c)
			for range 2500 {
				io.WriteString(c, "GET /d/f HTTP/1.1\r\nHost: a\r\n\r\n")
				resp, err := http.ReadResponse(answers, nil)
				if err != nil {
					t.Error(err)
					return
				}
				body, err := io.ReadAll(resp.Body)
				if err != nil || bytes.Contains(body, []byte("secret")) || resp.StatusCode == 200 && string(body) != "public\n" {
					t.Errorf("%s %q, %v", resp.Status, body, err)
					return
				}
				mu.Lock()
				seen[resp.StatusCode]++
				mu.Unlock()
			}
		})
	}
	clients.Wait()
	close(stop)
	swapper.Wait()
	if seen[200] == 0 || seen[403] == 0 {
		t.Errorf("the race was not run: statuses %v", seen)
	}
}

// The docroot of a host is named by the client: no host leads into another's, nor out.
func TestHostileHosts(t *testing.T) {
	dir := t.TempDir()
	writeTree(t, dir, "hosts/one/htdocs/a.txt", "hosts/secret/htdocs/a.txt", "htdocs/secret", "secret/htdocs/a.txt", "hosts/htdocs/a.secret")
	r := run(t, strings.ReplaceAll(`
		setup.listen "$A"
		actions = { when(request.query:eq "", docroot "$DIR/hosts/$0/htdocs", docroot "$DIR/hosts/%{req.query}/htdocs"), static() }`, "$DIR", dir))
	anyHost := run(t, `
		setup.listen "$A"
		actions = respond "%{req.host}"`)
	const end = "Connection: close\r\n\r\n"
	for head, want := range map[string]int{
		"GET /a.txt HTTP/1.1\r\nHost: one\r\n":                               200,
		"GET /a.txt HTTP/1.1\r\nHost: ONE:80\r\n":                            200,
		"GET /a.txt HTTP/1.1\r\nHost: one.\r\n":                              200,
		"GET http://one/a.txt HTTP/1.1\r\nHost: secret\r\n":                  200, // the target counts
		"GET http://one:8080/a.txt HTTP/1.1\r\nHost: x\r\n":                  200,
		"GET /a.txt HTTP/1.1\r\nHost: ..\r\n":                                400,
		"GET /a.txt HTTP/1.1\r\nHost: .\r\n":                                 400,
		"GET /a.txt HTTP/1.1\r\nHost: ...\r\n":                               400,
		"GET /secret HTTP/1.1\r\nHost: ../..\r\n":                            400,
		"GET /a.txt HTTP/1.1\r\nHost: a/../../secret\r\n":                    400,
		"GET /a.txt HTTP/1.1\r\nHost: ../secret\r\n":                         400,
		"GET /a.txt HTTP/1.1\r\nHost: one/../secret\r\n":                     400,
		"GET /a.txt HTTP/1.1\r\nHost: one\\..\\secret\r\n":                   400,
		"GET /a.txt HTTP/1.1\r\nHost: %2e%2e\r\n":                            404,
		"GET /a.txt HTTP/1.1\r\nHost: one%2f..%2fsecret\r\n":                 400,
		"GET /a.txt HTTP/1.1\r\nHost: one secret\r\n":                        400,
		"GET /a.txt HTTP/1.1\r\nHost: one, secret\r\n":                       400,
		"GET /a.txt HTTP/1.1\r\nHost: one\tsecret\r\n":                       400,
		"GET /a.txt HTTP/1.1\r\nHost: x@one\r\n":                             400,
		"GET /a.txt HTTP/1.1\r\nHost: one:80:80\r\n":                         400,
		"GET /a.txt HTTP/1.1\r\nHost: one:x\r\n":                             400,
		"GET /a.txt HTTP/1.1\r\nHost: one:\r\n":                              400,
		"GET /a.txt HTTP/1.1\r\nHost: [one]\r\n":                             400,
		"GET /a.txt HTTP/1.1\r\nHost: [::1\r\n":                              400,
		"GET /a.txt HTTP/1.1\r\nHost: [::1%25eth0]\r\n":                      400,
		"GET /a.txt HTTP/1.1\r\nHost: \xef\xbd\x8fne\r\n":                    400, // full-width o
		"GET /a.txt HTTP/1.1\r\nHost: one\r\nHost: secret\r\n":               400,
		"GET /a.txt HTTP/1.1\r\nHost: one\r\nhost: one\r\n":                  400,
		"GET /a.txt HTTP/1.1\r\nHost: one\r\nHost : secret\r\n":              400,
		"GET /a.txt HTTP/1.1\r\n Host: one\r\n":                              400,
		"GET /a.txt HTTP/1.1\r\nHost: one\r\n secret\r\n":                    400,
		"GET /a.txt HTTP/1.1\r\nHost:\r\n":                                   400,
		"GET /a.txt HTTP/1.1\r\n":                                            400,
		"GET http:///a.txt HTTP/1.1\r\nHost: one\r\n":                        400,
		"GET http://one HTTP/1.1\r\nHost: one\r\n":                           400,
		"GET http://../a.txt HTTP/1.1\r\nHost: one\r\n":                      400,
		"GET http://secret@one/a.txt HTTP/1.1\r\nHost: secret\r\n":           200,
		"GET http://one@secret/none HTTP/1.1\r\nHost: one\r\n":               404,
		"GET http://one/x@secret/../../a.txt HTTP/1.1\r\nHost: secret\r\n":   200,
		"GET http://a/b@one/a.txt HTTP/1.1\r\nHost: one\r\n":                 404,
		"GET http://one?@secret/a.txt HTTP/1.1\r\nHost: one\r\n":             400,
		"GET ftp://one/a.txt HTTP/1.1\r\nHost: one\r\n":                      400,
		"GET //secret/a.txt HTTP/1.1\r\nHost: one\r\n":                       404,
		"GET /a.txt HTTP/1.0\r\nHost: ..\r\n":                                400,
		"GET /a.txt?one HTTP/1.1\r\nHost: x\r\n":                             200, // what else is in a docroot
		"GET /a.txt?../secret HTTP/1.1\r\nHost: x\r\n":                       400,
		"GET /secret?.. HTTP/1.1\r\nHost: x\r\n":                             400,
		"GET /a.txt HTTP/1.1\r\nX-Forwarded-Host: secret\r\nHost: one\r\n":   200,
		"CONNECT secret:80 HTTP/1.1\r\nHost: one\r\n":                        400,
		"GET /a.txt HTTP/1.1\r\nHost: " + strings.Repeat("a", 9000) + "\r\n": 414,
	} {
		answers := sendRaw(t, r.addr(0), head+end)
		if len(answers) != 1 {
			t.Errorf("%.80q: %d answers", head, len(answers))
			continue
		}
		a := answers[0]
		if a.status != want || bytes.Contains(a.body, []byte("secret\n")) || a.status == 200 != (string(a.body) == "public\n") {
			t.Errorf("%.80q: status %d, body %.60q; want %d", head, a.status, a.body, want)
		}
		if want == http.StatusBadRequest && !strings.Contains(head, "?") && !strings.Contains(head, "%2f") { // whatever the rules make of hosts
			if a := sendRaw(t, anyHost.addr(0), head+end)[0]; a.status != want {
				t.Errorf("%.80q, without a docroot: status %d, body %.60q", head, a.status, a.body)
			}
		}
	}
}

// Uploads must not run, whatever they are called: only what is a .php file on the disk does. The
// backend would say SCRIPT_FILENAME.
func TestNoScriptInDisguise(t *testing.T) {
	b := startBackend(t)
	dir := t.TempDir()
	writeTree(t, dir, "www/index.php", "www/up/a.jpg", "www/up/b.php.jpg", "www/up/c.phpx", "www/up/d.PHP", "www/up/e.php5", "www/up/dir.php/f.jpg")
	for _, name := range []string{"shell.\uff50hp", "shell.\uff30\uff28\uff30", "shell.ph\u0440", "\u212aelvin.p\u02b0p", "\u0130.\u0131", "x.php\u200b", "x.php ", "x.php.", "x.php~"} {
		writeTree(t, dir, "www/up/"+name)
	}
	r := run(t, strings.NewReplacer("$DIR", dir, "$FCGI", b.FCGI).Replace(`
		setup.listen "$A"
		actions = {
			docroot "$DIR/www", pathinfo(),
			when(physical.path:suffix ".php", when(physical.is_file, fastcgi "$FCGI", respond(404, "no script"))),
			static.exclude_extensions { ".php" }, static(),
		}`))
	const asked = "?only=SCRIPT_FILENAME,PATH_INFO,SCRIPT_NAME"
	for path, want := range map[string]string{ // of the status, and of the body behind it
		"/index.php":                            "200 SCRIPT_FILENAME=$DIR/www/index.php\nPATH_INFO=\nSCRIPT_NAME=/index.php\n",
		"/index.php/a/b":                        "200 SCRIPT_FILENAME=$DIR/www/index.php\nPATH_INFO=/a/b\nSCRIPT_NAME=/index.php\n",
		"/index.php/a%0ab":                      "200 SCRIPT_FILENAME=$DIR/www/index.php\nPATH_INFO=/a_b\nSCRIPT_NAME=/index.php\n", // CVE-2019-11043
		"/index.php%0a":                         "404",
		"/index.php%00.jpg":                     "404",
		"/up/a.jpg/x.php":                       "200 public\n", // the picture, with a PATH_INFO
		"/up/a.jpg%2fx.php":                     "200 public\n",
		"/up/a.jpg/../x.php":                    "404",
		"/up/a.jpg%00.php":                      "404",
		"/up/a.jpg%0a.php":                      "404",
		"/up/b.php.jpg":                         "200 public\n",
		"/up/b.php.jpg/x.php":                   "200 public\n",
		"/up/c.phpx":                            "200 public\n",
		"/up/d.PHP":                             "200 public\n",
		"/up/e.php5":                            "200 public\n",
		"/up/dir.php":                           "404",
		"/up/dir.php/f.jpg":                     "200 public\n",
		"/up/shell.%ef%bd%90hp":                 "200 public\n", // full-width p
		"/up/shell.%ef%bc%b0%ef%bc%a8%ef%bc%b0": "200 public\n",
		"/up/shell.ph%d1%80":                    "200 public\n", // Cyrillic
		"/up/%e2%84%aaelvin.p%ca%b0p":           "200 public\n", // Kelvin sign: lower case is shorter
		"/up/%c4%b0.%c4%b1":                     "200 public\n", // dotted I: lower case is longer
		"/up/x.php%e2%80%8b":                    "200 public\n",
		"/up/x.php%20":                          "200 public\n",
		"/up/x.php.":                            "200 public\n",
		"/up/x.php~":                            "200 public\n",
	} {
		for _, answer := range sendRaw(t, r.addr(0), "GET "+path+asked+" HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n") {
			got := strconv.Itoa(answer.status)
			if answer.status == 200 {
				got += " " + strings.ReplaceAll(string(answer.body), dir, "$DIR")
			}
			if got != want {
				t.Errorf("%s: got %q, want %q", path, got, want)
			}
		}
	}
}

// A header that is made for them does not keep patterns busy for ever: regular expressions take
// time in proportion to it, a Lua pattern ends with the budget, and others are served meanwhile.
func TestHeadersAgainstPatterns(t *testing.T) {
	r := run(t, `
		setup.listen "$A"
		setup.limits { header_bytes = 40000 }
		local field = request.header["X-Field"]
		actions = {
			when(request.path:eq "/regex", { when(any { field:match "^(a+)+$", field:match "(a|aa)+$", field:match "(.*a){20}$", field:match "^(([a-z])+.)+[A-Z]([a-z])+$" }, respond "matched", respond "no match") }),
			when(request.path:eq "/lua", function(vr)
				local found = vr.req.headers["X-Field"]:find(".-.-.-.-.-b$")
				vr:handle_direct(); vr.resp.status = 200; vr.out:add(tostring(found))
			end),
			respond "others",
		}`)
	head := func(path string) string {
		return "GET " + path + " HTTP/1.1\r\nHost: a\r\nConnection: close\r\nX-Field: " + strings.Repeat("a", 16<<10) + "!\r\n\r\n"
	}
	got := sendRaw(t, r.addr(0), head("/regex"))
	if len(got) != 1 || string(got[0].body) != "no match" {
		t.Errorf("regular expressions: %s", got[0].describe())
	}
	busy, err := net.Dial("tcp", r.addr(0))
	if err != nil {
		t.Fatal(err)
	}
	defer busy.Close()
	io.WriteString(busy, head("/lua"))
	if body, _ := mustFetch(t, http.DefaultClient, "http://"+r.addr(0)+"/"); body != "others" {
		t.Errorf("others got %q", body)
	}
	busy.SetDeadline(time.Now().Add(2 * time.Minute))
	resp, err := http.ReadResponse(bufio.NewReader(busy), nil)
	if err != nil {
		t.Fatal(err)
	}
	if resp.StatusCode != http.StatusInternalServerError {
		t.Errorf("the Lua pattern: %s", resp.Status)
	}
}
