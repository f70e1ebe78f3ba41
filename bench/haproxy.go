package main

import (
	"fmt"
	"strings"
)

// configureHAProxy writes a configuration. Many rules stand in maps, as its manual advises.
// The cache of looked up expressions is off: with one request over and over it would answer
// all of them, and no expression would be matched.
func configureHAProxy(s site) ([]string, error) {
	var global, frontend, backend, rules string
	switch s.kind {
	case fixedAnswer:
		frontend = haproxyAnswer(fixedBody, "")
	case luaHandler:
		handler, err := s.write("handler.lua", haproxyHandler)
		if err != nil {
			return nil, err
		}
		global = "lua-load-per-thread " + handler
		frontend = "http-request use-service lua.hello"
	case staticFile:
		return nil, unsupported("serves no files")
	case fastCGI:
		frontend = "default_backend app"
		backend = fmt.Sprintf(haproxyBackend, "use-fcgi-app app", s.fastcgiSocket+" proto fcgi") +
			fmt.Sprintf("fcgi-app app\n  docroot %s\n  option keep-conn\n", s.htdocs)
	case httpProxy:
		frontend = "default_backend app"
		backend = fmt.Sprintf(haproxyBackend, "option forwardfor\n  http-request set-header X-Forwarded-Proto http", s.httpSocket)
	case prefixRules:
		rules = haproxyMap(s.n, "/p%05d/")
		frontend = haproxyLookup("path,map_beg", s.dir)
	case regexRules:
		rules = haproxyMap(s.n, `^/r%05d/[0-9]+\.html$`)
		frontend = haproxyLookup("path,map_reg", s.dir)
	case equalRules:
		rules = haproxyMap(s.n, "/e%05d/page")
		frontend = haproxyLookup("path,map_str", s.dir)
	case suffixRules:
		rules = haproxyMap(s.n, ".s%05d")
		frontend = haproxyLookup("path,map_end", s.dir)
	case mixedRules:
		return nil, unsupported("has maps of one kind of rules only")
	case elseRules:
		return nil, unsupported("has no else")
	case virtualHosts:
		rules = haproxyMap(s.n, "h%05d."+hostName)
		frontend = haproxyLookup("req.hdr(host),lower,map_str", s.dir)
	}
	if _, err := s.write("rules.map", rules); err != nil {
		return nil, err
	}
	file, err := s.write("haproxy.cfg", fmt.Sprintf(haproxyFrame, s.workers, global, s.addr, frontend, backend))
	return []string{"-db", "-f", file}, err
}

const haproxyFrame = `global
  nbthread %d
  maxconn 4096
  tune.pattern.cache-size 0
  %s
defaults
  mode http
  timeout client 60s
  timeout server 60s
  timeout connect 5s
frontend bench
  bind %s backlog 4096
  %s
%s`

const haproxyBackend = `backend app
  %s
  http-reuse always
  server app unix@%s
`

const haproxyHandler = `
core.register_service("hello", "http", function(applet)
  local path, host = applet.path, applet.headers["host"][0]
  local body = "hello " .. host .. path
  applet:set_status(200)
  applet:add_header("Content-Type", "text/plain")
  applet:add_header("X-Path", path)
  applet:add_header("Content-Length", tostring(#body))
  applet:start_response()
  applet:send(body)
end)
`

// haproxyAnswer returns a fixed answer; more is what else belongs to the rule.
func haproxyAnswer(body, more string) string {
	return fmt.Sprintf("http-request return status 200 content-type text/plain string %q%s", body, more)
}

func haproxyMap(n int, key string) string {
	var b strings.Builder
	for i := 1; i <= n; i++ {
		fmt.Fprintf(&b, key+" %d\n", i, i)
	}
	return b.String()
}

func haproxyLookup(sample, dir string) string {
	return fmt.Sprintf("http-request set-var(txn.rule) %s(%s/rules.map)\n  %s\n  http-request return status 404", sample, dir,
		haproxyAnswer(ruleBody, fmt.Sprintf(` hdr %s "%%[var(txn.rule)]" if { var(txn.rule) -m found }`, ruleHeader)))
}
