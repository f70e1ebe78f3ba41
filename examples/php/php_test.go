// Package php tests the example with a real php-fpm.
package php

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"mime/multipart"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	ts "luaserve/examples/internal/testsite"
	"luaserve/tests/backend"
)

// findFPM returns the newest php-fpm that is installed, whatever its version is called.
func findFPM(t *testing.T) string {
	t.Helper()
	if path, err := exec.LookPath("php-fpm"); err == nil {
		return path
	}
	found, _ := filepath.Glob("/usr/sbin/php-fpm*")
	if len(found) == 0 {
		backend.Missing(t, "php-fpm is not installed (Debian: php-fpm)")
	}
	return found[len(found)-1]
}

// startPHP runs php-fpm with a configuration of its own, to which more lines may be added.
func startPHP(t *testing.T, more ...string) (stop func()) {
	t.Helper()
	fpm := findFPM(t)
	dir := ts.SocketDir(t)
	socket := filepath.Join(dir, "php.sock")
	t.Setenv("PHP_SOCKET", socket)
	config := fmt.Sprintf(`
[global]
error_log = %s/log
daemonize = no
[site]
listen = %s
pm = static
pm.max_children = 4
php_admin_value[post_max_size] = 64M
php_admin_value[upload_max_filesize] = 64M
php_admin_flag[log_errors] = on
%s
`, dir, socket, strings.Join(more, "\n"))
	args := []string{"--nodaemonize", "--fpm-config", dir + "/fpm.conf", "-n"}
	if os.Geteuid() == 0 {
		config += "user = root\ngroup = root\n"
		args = append(args, "--allow-to-run-as-root")
	}
	if err := os.WriteFile(dir+"/fpm.conf", []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	return ts.Application(t, socket, exec.Command(fpm, args...))
}

func TestSite(t *testing.T) {
	stop := startPHP(t)
	site, log := ts.Serve(t, "site.lua")

	t.Run("environment", func(t *testing.T) { testEnvironment(t, site) })
	t.Run("upload", func(t *testing.T) { testUpload(t, site+"/upload.php") })
	t.Run("stream", func(t *testing.T) {
		if got := ts.WantStream(t, site+"/stream.php"); got != "line 1\nline 2\nline 3\nline 4\nline 5\n" {
			t.Errorf("got %q", got)
		}
	})
	t.Run("headers", func(t *testing.T) {
		got := ts.Get(t, site+"/headers.php")
		got.Want(t, http.StatusTeapot, "a short body\n")
		if long := got.Header.Get("X-Long"); len(long) < 3000 || !strings.HasSuffix(long, " end") {
			t.Errorf("X-Long has %d bytes", len(long))
		}
		want := []string{"first=a%20b; path=/", "second=2; path=/; HttpOnly"}
		if cookies := got.Header.Values("Set-Cookie"); !slices.Equal(cookies, want) {
			t.Errorf("got the cookies %q, want %q", cookies, want)
		}
	})
	t.Run("files", func(t *testing.T) {
		got := ts.Get(t, site+"/style.css")
		got.Want(t, 200, "font:")
		got.WantHeader(t, "Content-Type", "text/css; charset=utf-8")
		for _, path := range []string{"/none.php", "/none.html", "/index.php.", "/../site.lua", "/index.php%00.css"} {
			if got := ts.Get(t, site+path); got.StatusCode < 400 || strings.Contains(got.Text, "<?php") {
				t.Errorf("%s: got %s\n%s", path, got.Status, got.Text)
			}
		}
	})
	t.Run("stderr", func(t *testing.T) {
		ts.Get(t, site+"/complain.php").Want(t, 200, "fine\n")
		waitFor(t, log, "the script is not content")
	})
	t.Run("dies halfway", func(t *testing.T) {
		for _, query := range []string{"", "?length"} {
			wantCut(t, site+"/die.php"+query)
		}
	})
	t.Run("dies early", func(t *testing.T) {
		ts.Get(t, site+"/die-early.php").Want(t, http.StatusBadGateway)
	})
	t.Run("dead application", func(t *testing.T) {
		stop()
		ts.Get(t, site+"/index.php").Want(t, http.StatusServiceUnavailable)
		ts.Get(t, site+"/style.css").Want(t, 200)
	})
}

// Each process of php-fpm ends behind its first request, and its connection with it: 64 clients
// see nothing of that.
func TestOneRequestAProcess(t *testing.T) {
	startPHP(t, "pm.max_requests = 1")
	site, _ := ts.Serve(t, "site.lua")
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}} // else it would repeat requests itself
	ask := func(method, path, body, want string) {
		req, err := http.NewRequestWithContext(t.Context(), method, site+path, strings.NewReader(body))
		if err != nil {
			t.Error(err)
			return
		}
		resp, err := client.Do(req)
		if err != nil {
			t.Error(err)
			return
		}
		defer resp.Body.Close()
		got, err := io.ReadAll(resp.Body)
		if err != nil || resp.StatusCode != 200 || !strings.Contains(string(got), want) {
			t.Errorf("%s %s: got %s, %v\n%.500s", method, path, resp.Status, err, got)
		}
	}
	var wg sync.WaitGroup
	for c := range 64 {
		wg.Go(func() {
			for i := range 4 {
				id := fmt.Sprintf("%d-%d.", c, i)
				ask("GET", "/index.php?"+id, "", fmt.Sprintf("%q: %q", "QUERY_STRING", id))
				body := strings.Repeat(id, 1+i*20_000)
				ask("POST", "/upload.php", body, fmt.Sprintf("{\"length\":%d,\"sha256\":\"%x\"}\n", len(body), sha256.Sum256([]byte(body))))
			}
		})
	}
	wg.Wait()
}

func testEnvironment(t *testing.T, site string) {
	htdocs, err := filepath.Abs("htdocs")
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]map[string]string{
		"/?a=1": {"SCRIPT_NAME": "/index.php", "QUERY_STRING": "a=1", "REQUEST_URI": "/?a=1",
			"SCRIPT_FILENAME": htdocs + "/index.php", "DOCUMENT_ROOT": htdocs},
		"/index.php/more/x%20y": {"SCRIPT_NAME": "/index.php", "PATH_INFO": "/more/x y",
			"SCRIPT_FILENAME": htdocs + "/index.php"},
	} {
		got := ts.Get(t, site+path, "Proxy", "http://evil/")
		got.Want(t, 200)
		var env map[string]string
		if err := json.Unmarshal([]byte(got.Text), &env); err != nil {
			t.Fatalf("%s: %v\n%s", path, err, got.Text)
		}
		for name, value := range want {
			if env[name] != value {
				t.Errorf("%s: %s is %q, want %q", path, name, env[name], value)
			}
		}
		if v, there := env["HTTP_PROXY"]; there {
			t.Errorf("HTTP_PROXY is %q", v)
		}
	}
}

// testUpload sends 20 MB: as the body with and without a length, and as a file of a form.
func testUpload(t *testing.T, url string) {
	body := bytes.Repeat([]byte("0123456789abcdef"), 20<<20/16)
	want := fmt.Sprintf("{\"length\":%d,\"sha256\":\"%x\"}\n", len(body), sha256.Sum256(body))
	var form bytes.Buffer
	parts := multipart.NewWriter(&form)
	file, err := parts.CreateFormFile("file", "big.bin")
	if err != nil {
		t.Fatal(err)
	}
	file.Write(body)
	parts.Close()
	for _, c := range []struct {
		name, typ string
		body      io.Reader
	}{
		{"length", "application/octet-stream", bytes.NewReader(body)},
		{"chunks", "application/octet-stream", io.MultiReader(bytes.NewReader(body))},
		{"form", parts.FormDataContentType(), &form},
	} {
		got := ts.Do(t, "POST", url, c.body, "Content-Type", c.typ)
		if got.StatusCode != 200 || got.Text != want {
			t.Errorf("%s: got %s %.300s, want %s", c.name, got.Status, got.Text, want)
		}
	}
}

// wantCut wants the beginning of an answer, and that the client can tell that it is not
// the whole: with a length as well as in chunks the connection ends in the middle.
func wantCut(t *testing.T, url string) {
	t.Helper()
	resp, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err == nil {
		t.Errorf("%s: %d bytes look like a complete answer", url, len(body))
	}
	if resp.StatusCode != 200 || !bytes.HasPrefix(body, []byte("half\n")) {
		t.Errorf("%s: got %s and %d bytes", url, resp.Status, len(body))
	}

	// HTTP/1.0 has no chunks: there only a reset tells
	if !strings.Contains(url, "?length") {
		wantReset(t, url)
	}
}

// wantReset wants that a response which ends with its connection is reset, not ended.
func wantReset(t *testing.T, url string) {
	t.Helper()
	host, path, _ := strings.Cut(strings.TrimPrefix(url, "http://"), "/")
	conn, err := net.Dial("tcp", host)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(time.Minute))
	fmt.Fprintf(conn, "GET /%s HTTP/1.0\r\n\r\n", path)
	if answer, err := io.ReadAll(conn); err == nil {
		t.Errorf("HTTP/1.0: %d bytes look like a complete answer", len(answer))
	}
}

func waitFor(t *testing.T, log *ts.Log, text string) {
	t.Helper()
	for range 1500 {
		if strings.Contains(log.String(), text) {
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
	t.Errorf("no %q in the log:\n%s", text, log)
}
