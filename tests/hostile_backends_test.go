package tests

import (
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"
)

// lookalikes are spellings of Remote-User that some application makes the same variable of.
var lookalikes = []string{"Remote_User", "Remote.User", "REMOTE_USER", "remote_user", "Remote~User", "Remote'User", "Remote+User", "REMOTE.USER", "remote_User"}

// A field that a script has set is not beaten by one that an application cannot tell from it
// (CVE-2025-64484 of oauth2-proxy, and others), in whatever order they come; nor is HTTP_PROXY
// ever what the client says.
func TestLookalikeFields(t *testing.T) {
	b := startBackend(t)
	dir := t.TempDir()
	if err := os.WriteFile(dir+"/env", []byte("#!/bin/sh\nprintf 'Content-Type: text/plain\\n\\n'\nexec env\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	r := run(t, strings.NewReplacer("$DIR", dir, "$FCGI", b.FCGI, "$SCGI", b.SCGI, "$HTTP", b.HTTP).Replace(`
		setup.listen "$A"
		actions = {
			when(request.path:prefix "/plain", { action.cgi.mangle_env_names(false) }),
			function(vr) vr.req.headers["Remote-User"] = "alice" end,
			env.set("REMOTE_USER", "alice"),
			when(request.path:suffix "/fcgi", fastcgi "$FCGI"),
			when(request.path:suffix "/scgi", scgi "$SCGI"),
			when(request.path:suffix "/cgi", cgi "$DIR/env"),
			when(request.path:suffix "/http", proxy "$HTTP"),
		}`))
	for _, names := range []string{"/", "/plain/"} {
		for _, protocol := range []string{"fcgi", "scgi", "cgi", "http"} {
			for i, spelling := range lookalikes {
				fields := []string{spelling + ": evil", "Remote-User: evil", "Proxy: evil", "PROXY: evil", "Content_Length: 3", spelling + ": evil2"}
				if i%2 == 1 {
					fields[0], fields[1] = fields[1], fields[0]
				}
				answers := sendRaw(t, r.addr(0), "GET "+names+protocol+" HTTP/1.1\r\nHost: a\r\nConnection: close\r\n"+strings.Join(fields, "\r\n")+"\r\n\r\n")
				if len(answers) != 1 || answers[0].status != 200 {
					t.Fatalf("%s%s: %d answers, %s", names, protocol, len(answers), answers[0].describe())
				}
				checkVariables(t, names+protocol+" "+spelling, string(answers[0].body))
			}
		}
	}
}

// checkVariables makes variables of what an application was told, as CGI does.
func checkVariables(t *testing.T, what, told string) {
	t.Helper()
	users := 0
	for line := range strings.Lines(told) {
		name, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "=")
		variable := strings.Map(func(r rune) rune {
			if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' {
				return r
			}
			return '_'
		}, name)
		switch variable = strings.TrimPrefix(strings.ToUpper(variable), "HTTP_"); variable {
		case "REMOTE_USER":
			if users++; value != "alice" {
				t.Errorf("%s: %s=%s", what, name, value)
			}
		case "PROXY":
			t.Errorf("%s: %s=%s", what, name, value)
		case "CONTENT_LENGTH":
			if name == "CONTENT_LENGTH" && value != "0" && value != "" {
				t.Errorf("%s: %s=%s", what, name, value)
			}
		}
	}
	if users == 0 {
		t.Errorf("%s: the user that the script has set is missing in\n%s", what, told)
	}
}

// Nothing that a client, a script or a backend says becomes a field or an answer of its own.
func TestResponseSplitting(t *testing.T) {
	b := startBackend(t)
	dir := t.TempDir()
	r := run(t, strings.NewReplacer("$DIR", dir, "$FCGI", b.FCGI, "$SCGI", b.SCGI, "$HTTP", b.HTTP).Replace(`
		setup.listen "$A"
		local lua = function(set)
			return function(vr) if vr:handle_direct() then vr.resp.status = 200; set(vr, "x\r\nEvil: yes\r\n\r\nHTTP/1.1 200 OK\r\n\r\nevil") end end
		end
		actions = {
			when(request.path:eq "/lua/value", lua(function(vr, evil) vr.resp.headers["X"] = evil end)),
			when(request.path:eq "/lua/insert", lua(function(vr, evil) vr.resp.headers:insert("X", evil) end)),
			when(request.path:eq "/lua/append", lua(function(vr, evil) vr.resp.headers:append("X", evil) end)),
			when(request.path:eq "/lua/name", lua(function(vr, evil) vr.resp.headers[evil] = "x" end)),
			when(request.path:eq "/lua/colon", lua(function(vr) vr.resp.headers["X: y\nEvil"] = "yes" end)),
			when(request.path:eq "/lua/lf", lua(function(vr) vr.resp.headers["X"] = "a\nEvil: yes" end)),
			when(request.path:eq "/lua/cr", lua(function(vr) vr.resp.headers["X"] = "a\rEvil: yes" end)),
			when(request.path:eq "/lua/nul", lua(function(vr) vr.resp.headers["X"] = "a\0Evil: yes" end)),
			when(request.path:eq "/lua/uri", {
				function(vr) vr.req.uri.path = "/x\r\nEvil: yes"; vr.req.uri.query = "a\r\nEvil: yes" end, redirect "%{enc:req.path}?%{req.query}" }),
			when(request.path:eq "/lua/raw", { function(vr) vr.req.uri.raw_path = "/x\r\nEvil: yes" end, redirect "%{req.raw_path}" }),
			when(request.path:eq "/lua/env", { function(vr) vr.env["X"] = "a\r\nEvil: yes" end, redirect "http://b/%{req.environment[X]}" }),
			when(request.path:eq "/lua/raw-proxy", { function(vr) vr.req.uri.raw_path = "/x\r\nEvil: yes\r\n" end, proxy "$HTTP" }),
			when(request.path:eq "/lua/query-proxy", { function(vr) vr.req.uri.query = "only=x\r\nEvil: yes\r\n" end, proxy "$HTTP" }),
			when(request.path:eq "/lua/rewrite", { function(vr) vr.env["X"] = "a\r\nEvil: yes\r\n" end, rewrite("^", "/y?%{req.environment[X]}"), proxy "$HTTP" }),
			when(request.path:prefix "/redirect", redirect "http://b%{req.path}?%{req.query}"),
			when(request.path:prefix "/field", { header.add("X", "%{req.path}"), header.add("X", "%{req.header[X-Evil]}"), header.add("Y", "%{req.query}"), respond(200, "ok") }),
			when(request.path:eq "/fcgi", fastcgi "$FCGI"), when(request.path:eq "/scgi", scgi "$SCGI"), when(request.path:eq "/http", proxy "$HTTP"),
			docroot "$DIR/%0d%0aEvil: yes", index "x", static(),
		}`))
	requests := map[string]string{}
	for _, path := range []string{"/lua/value", "/lua/insert", "/lua/append", "/lua/name", "/lua/colon", "/lua/lf", "/lua/cr", "/lua/nul"} {
		requests[path] = "500"
	}
	for _, path := range []string{"/lua/raw-proxy", "/lua/query-proxy", "/lua/rewrite"} {
		requests[path] = "200" // encoded, it is a path like others
	}
	for _, path := range []string{"/lua/uri", "/lua/raw", "/lua/env", "/redirect%0d%0aEvil:%20yes", "/redirect%E5%98%8A%E5%98%8DEvil:%20yes?%0d%0aEvil:%20yes"} {
		requests[path] = "301"
	}
	for _, path := range []string{"/field%0d%0aEvil:%20yes?%0d%0aEvil:%20yes", "/field%0aEvil:%20yes"} {
		requests[path] = "200"
	}
	for _, protocol := range []string{"/fcgi", "/scgi"} {
		requests[protocol+"?h=X:%20a%0d%0aEvil2:%20ok&body=x"] = "200" // two fields, as the application wrote
		requests[protocol+"?h=X:%20a%0dEvil:%20yes&body=x"] = "502"
		requests[protocol+"?h=X:%20a%00Evil:%20yes&body=x"] = "502"
		requests[protocol+"?h=X%20Evil:%20yes&body=x"] = "502"
		requests[protocol+"?status=200%20OK%0dEvil:%20yes&body=x"] = "502"
		requests[protocol+"?location=http://b/%0dEvil:%20yes"] = "502"
	}
	requests["/http?h=X:%20a%0dEvil:%20yes&body=x"] = "502"
	requests["/http?h=X:%20a%00Evil:%20yes&body=x"] = "502"
	requests["/http?status=200%20OK%0dEvil:%20yes&body=x"] = "200" // its reason is not passed on
	for path, want := range requests {
		answers := sendRaw(t, r.addr(0), "GET "+path+" HTTP/1.1\r\nHost: a\r\nX-Evil: a\tb\r\nCookie: x=a%0d%0aEvil:yes\r\nConnection: close\r\n\r\n")
		if len(answers) != 1 || fmt.Sprint(answers[0].status) != want {
			t.Errorf("%s: want one answer with status %s, got %d, %s", path, want, len(answers), answers[0].describe())
			continue
		}
		if want == "301" && len(answers[0].values("Location")) != 1 {
			t.Errorf("%s: the answer has the locations %q", path, answers[0].values("Location"))
		}
		for _, f := range answers[0].headers {
			if strings.EqualFold(f.name, "Evil") || strings.ContainsAny(f.name+f.value, "\r\n\x00") {
				t.Errorf("%s: the answer has the field %q: %q", path, f.name, f.value)
			}
		}
	}
}

// X-Sendfile and X-Accel-Redirect are what a backend says, and lead to regular files below the
// root only; they never reach the client, and clients cannot send them.
func TestHostileSendfile(t *testing.T) {
	b := startBackend(t)
	dir := shortDir(t)
	writeTree(t, dir, "files/a.txt", "files/sub/b.txt", "files-secret/x", "secret")
	link(t, "../secret", dir+"/files/out")
	link(t, dir, dir+"/files/up")
	link(t, "a.txt", dir+"/files/in")
	link(t, "/dev/zero", dir+"/files/zero")
	if err := syscall.Mkfifo(dir+"/files/fifo", 0o644); err != nil {
		t.Fatal(err)
	}
	r := run(t, strings.NewReplacer("$DIR", dir, "$FCGI", b.FCGI).Replace(`
		setup.listen "$A"
		lua.plugin "core.lua"
		actions = {
			when(request.path:eq "/sendfile", { fastcgi "$FCGI", core.xsendfile "$DIR/files/" }),
			when(request.path:eq "/accel", { fastcgi "$FCGI", accel.redirect { when(request.path:prefix "/internal/", { alias { ["/internal/"] = "$DIR/files" }, static() }), respond(404, "no such file") } }),
		}`))
	ask := func(path, fields string) *answer {
		t.Helper()
		answers := sendRaw(t, r.addr(0), "GET "+path+" HTTP/1.1\r\nHost: a\r\nConnection: close\r\n"+fields+"\r\n")
		if len(answers) != 1 {
			t.Fatalf("%s: %d answers", path, len(answers))
		}
		a := answers[0]
		for _, name := range []string{"X-Sendfile", "X-LIGHTTPD-send-file", "X-Accel-Redirect"} {
			if strings.Join(a.values(name), "") != "" { // an empty one says nothing, and is passed on by lighttpd2
				t.Errorf("%s: %s reached the client: %q", path, name, a.values(name))
			}
		}
		if strings.Contains(string(a.body), "secret") || strings.Contains(string(a.body), "root:") {
			t.Errorf("%s: sent %q", path, a.body)
		}
		return a
	}
	for file, want := range map[string]string{
		"$DIR/files/a.txt": "200 public\n", "$DIR/files/in": "200 public\n", "$DIR/files/sub/../a.txt": "200 public\n", "$DIR/files//a.txt": "200 public\n",
		"$DIR/files/../secret": "500 ", "$DIR/files/sub/../../secret": "500 ", "$DIR/files-secret/x": "500 ", "$DIR/secret": "500 ", "/etc/passwd": "500 ",
		"$DIR/files/out": "500 ", "$DIR/files/up/secret": "500 ", "$DIR/files/fifo": "500 ", "$DIR/files/zero": "500 ", "$DIR/files/none": "500 ", "$DIR/files": "500 ",
		"$DIR/files/a.txt%00": "502 ", "$DIR/files/%2e%2e/secret": "500 ", "files/a.txt": "500 ", "../secret": "500 ", "": "200 backend body",
	} {
		got := ask("/sendfile?xsendfile="+strings.ReplaceAll(file, "$DIR", dir), "")
		checkFile(t, "X-Sendfile: "+file, got, want)
	}
	for target, want := range map[string]string{
		"/internal/a.txt": "200 public\n", "/internal/in": "200 public\n", "/internal/sub/../a.txt": "200 public\n",
		"/internal/../secret": "404 no such file", "/internal/%2e%2e/secret": "404 no such file", "/internal/..%2fsecret": "404 no such file",
		"/internal-secret/x": "404 no such file", "/internal/out": "403 ", "/internal/up/secret": "403 ", "/internal/fifo": "403 ", "/internal/zero": "403 ",
	} {
		target = strings.ReplaceAll(target, "%", "%25") // the backend decodes once
		checkFile(t, "X-Accel-Redirect: "+target, ask("/accel?h=X-Accel-Redirect:%20"+target, ""), want)
	}
	for _, path := range []string{"/sendfile?body=plain", "/accel?body=plain"} {
		got := ask(path, "X-Sendfile: "+dir+"/files/a.txt\r\nX-LIGHTTPD-send-file: "+dir+"/files/a.txt\r\nX-Accel-Redirect: /internal/a.txt\r\n")
		checkFile(t, "from a client", got, "200 plain")
	}
}

// checkFile compares status and body; of an error page only the status is given.
func checkFile(t *testing.T, what string, a *answer, want string) {
	t.Helper()
	status, body, _ := strings.Cut(want, " ")
	if fmt.Sprint(a.status) != status || body != "" && string(a.body) != body {
		t.Errorf("%s: got %d %.60q, want %s", what, a.status, a.body, want)
	}
}
