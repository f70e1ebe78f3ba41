package main

import (
	"fmt"
	"path/filepath"
	"strings"
)

// configureLighttpd writes a configuration. lighttpd has no fixed answers of its own; a
// script for mod_magnet is its way to give one.
func configureLighttpd(s site) ([]string, error) {
	if s.n > lighttpdConditions && s.kind != staticFile {
		return nil, unsupported(fmt.Sprintf("takes at most %s conditions", thousands(lighttpdConditions)))
	}
	magnet := fmt.Sprintf("magnet.attract-raw-url-to = ( %q )\n", filepath.Join(s.dir, "answer.lua"))
	answer := fmt.Sprintf(lighttpdAnswer, ruleBody)
	var modules []string
	var conf string
	switch s.kind {
	case fixedAnswer:
		modules, conf, answer = []string{"mod_magnet"}, magnet, fmt.Sprintf(lighttpdAnswer, fixedBody)
	case luaHandler:
		modules, conf, answer = []string{"mod_magnet"}, magnet, lighttpdHandler
	case staticFile:
		conf = "mimetype.assign = ( \".html\" => \"text/html\" )\n"
	case fastCGI:
		modules, conf = []string{"mod_fastcgi"}, fmt.Sprintf(`fastcgi.server = ( "/" => (( "socket" => %q, "check-local" => "disable" )) )`, s.fastcgiSocket)
	case httpProxy:
		modules, conf = []string{"mod_proxy"}, fmt.Sprintf(`proxy.server = ( "" => (( "socket" => %q )) )`, s.httpSocket)
	case prefixRules:
		modules, conf = lighttpdRules(s.n, magnet, "", `$HTTP["url"] =^ "/p%05d/"`)
	case regexRules:
		modules, conf = lighttpdRules(s.n, magnet, "", `$HTTP["url"] =~ "^/r%05d/[0-9]+\.html$"`)
	case equalRules:
		modules, conf = lighttpdRules(s.n, magnet, "", `$HTTP["url"] == "/e%05d/page"`)
	case suffixRules:
		modules, conf = lighttpdRules(s.n, magnet, "", `$HTTP["url"] =$ ".s%05d"`)
	case mixedRules:
		modules, conf = lighttpdRules(s.n, magnet, "", `$HTTP["url"] =^ "/m%05d/"`, `$HTTP["url"] == "/m%05d/42.html"`,
			`$HTTP["url"] =$ "/m%05d/42.html"`, `$HTTP["url"] =~ "^/m%05d/[0-9]+\.html$"`)
	case elseRules:
		modules, conf = lighttpdRules(s.n, magnet, "else ", `$HTTP["url"] =^ "/p%05d/"`)
	case virtualHosts:
		modules, conf = lighttpdRules(s.n, magnet, "", `$HTTP["host"] == "h%05d.`+hostName+`"`)
	}
	if _, err := s.write("answer.lua", answer); err != nil {
		return nil, err
	}
	host, port, _ := strings.Cut(s.addr, ":")
	file, err := s.write("lighttpd.conf", fmt.Sprintf(lighttpdFrame, host, port, s.htdocs, s.dir, s.workers, quoted(modules))+conf)
	return []string{"-D", "-f", file}, err
}

// lighttpdConditions is how many 1.4.69 takes; with one more, an assertion ends it.
const lighttpdConditions = 4095

const lighttpdFrame = `server.bind = %q
server.port = %s
server.document-root = %q
server.errorlog = "%[4]s/error.log"
server.pid-file = "%[4]s/pid"
server.upload-dirs = ( %[4]q )
server.max-worker = %[5]d
server.max-keep-alive-requests = 65535
server.listen-backlog = 4096
server.modules = ( %[6]s )
`

const lighttpdAnswer = `local r = lighty.r
r.resp_header["Content-Type"] = "text/plain"
r.resp_body.set({ %q })
return 200
`

const lighttpdHandler = `local r = lighty.r
local path, host = r.req_attr["uri.path"], r.req_attr["uri.authority"]
r.resp_header["Content-Type"] = "text/plain"
r.resp_header["X-Path"] = path
r.resp_body.set({ "hello " .. host .. path })
return 200
`

// lighttpdRules takes one condition after another for the rules; between stands before all but
// the first.
func lighttpdRules(n int, magnet, between string, conditions ...string) (modules []string, conf string) {
	var b strings.Builder
	for i := 1; i <= n; i++ {
		if i > 1 {
			b.WriteString(between)
		}
		fmt.Fprintf(&b, conditions[(i-1)%len(conditions)]+" {\nsetenv.set-response-header = ( %q => \"%d\" )\n%s}\n", i, ruleHeader, i, magnet)
	}
	return []string{"mod_setenv", "mod_magnet"}, b.String()
}

func quoted(names []string) string {
	var list []string
	for _, name := range names {
		list = append(list, fmt.Sprintf("%q", name))
	}
	return strings.Join(list, ", ")
}
