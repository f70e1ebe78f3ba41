package main

import (
	"fmt"
	"strings"
)

// configureCaddy writes a Caddyfile.
func configureCaddy(s site) ([]string, error) {
	var conf string
	switch s.kind {
	case fixedAnswer:
		conf = caddySite(s, "", fmt.Sprintf("respond %q", fixedBody))
	case luaHandler:
		return nil, unsupported("has no Lua")
	case staticFile:
		conf = caddySite(s, "", fmt.Sprintf("root * %s\nfile_server", s.htdocs))
	case fastCGI:
		conf = caddySite(s, "", fmt.Sprintf("reverse_proxy unix/%s {\ntransport fastcgi {\nroot %s\n}\n}", s.fastcgiSocket, s.htdocs))
	case httpProxy:
		conf = caddySite(s, "", fmt.Sprintf("reverse_proxy unix/%s {\ntransport http {\nkeepalive_idle_conns_per_host %d\n}\n}", s.httpSocket, s.connections))
	case prefixRules:
		conf = caddyRules(s, "path /p%05d/*")
	case regexRules:
		conf = caddyRules(s, `path_regexp ^/r%05d/[0-9]+\.html$`)
	case equalRules:
		conf = caddyRules(s, "path /e%05d/page")
	case suffixRules:
		conf = caddyRules(s, "path *.s%05d")
	case mixedRules:
		conf = caddyRules(s, "path /m%05d/*", "path /m%05d/42.html", "path */m%05d/42.html", `path_regexp ^/m%05d/[0-9]+\.html$`)
	case elseRules:
		return nil, unsupported("has no else but its handle blocks, which the prefixes are in already")
	case virtualHosts:
		conf = caddyHosts(s)
	}
	file, err := s.write("Caddyfile", caddyGlobal+conf)
	return []string{"run", "--config", file, "--adapter", "caddyfile"}, err
}

const caddyGlobal = `{
  admin off
  auto_https off
  log {
    level ERROR
  }
  servers {
    protocols h1
  }
}
`

// caddySite is a site block; without a host it is for all of them.
func caddySite(s site, host, body string) string {
	ip, port, _ := strings.Cut(s.addr, ":")
	return fmt.Sprintf("http://%s:%s {\nbind %s\n%s\n}\n", host, port, ip, body)
}

// caddyRules takes one matcher after another for the rules.
func caddyRules(s site, matchers ...string) string {
	var b strings.Builder
	for i := 1; i <= s.n; i++ {
		fmt.Fprintf(&b, "@r%d "+matchers[(i-1)%len(matchers)]+"\nhandle @r%d {\nheader %s %d\nrespond %q\n}\n", i, i, i, ruleHeader, i, ruleBody)
	}
	return caddySite(s, "", b.String()+"handle {\nrespond 404\n}")
}

func caddyHosts(s site) string {
	var b strings.Builder
	for i := 1; i <= s.n; i++ {
		b.WriteString(caddySite(s, vhostName(i), fmt.Sprintf("header %s %d\nrespond %q", ruleHeader, i, ruleBody)))
	}
	return b.String() + caddySite(s, "", "respond 404")
}
