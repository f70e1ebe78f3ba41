package main

import (
	"fmt"
	"strings"
)

// configureNginx writes a configuration with Debian's settings for sending files, and with
// the just-in-time compiler for regular expressions.
func configureNginx(s site) ([]string, error) {
	var main, servers string
	switch s.kind {
	case fixedAnswer:
		servers = nginxServer(s, "location / { return 200 %q; }", fixedBody)
	case luaHandler:
		main = "load_module modules/ndk_http_module.so;\nload_module modules/ngx_http_lua_module.so;\n"
		servers = nginxServer(s, "location / { content_by_lua_block { %s } }", nginxHandler)
	case staticFile:
		servers = nginxServer(s, "root %s;", s.htdocs)
	case fastCGI:
		servers = nginxUpstream(s, s.fastcgiSocket) +
			nginxServer(s, "root %s;\nlocation / { fastcgi_pass backend; fastcgi_keep_conn on; %s }", s.htdocs, nginxParams())
	case httpProxy:
		servers = nginxUpstream(s, s.httpSocket) + nginxServer(s, nginxProxy)
	case prefixRules:
		servers = nginxRules(s, "^~ /p%05d/")
	case regexRules:
		servers = nginxRules(s, "~ ^/r%05d/[0-9]+\\.html$")
	case equalRules:
		servers = nginxRules(s, "= /e%05d/page")
	case suffixRules:
		servers = nginxRules(s, "~ \\.s%05d$")
	case mixedRules:
		servers = nginxRules(s, "^~ /m%05d/", "= /m%05d/42.html", "~ /m%05d/42\\.html$", "~ ^/m%05d/[0-9]+\\.html$")
	case elseRules:
		return nil, unsupported("has no else")
	case virtualHosts:
		servers = nginxHosts(s)
	}
	file, err := s.write("nginx.conf", main+fmt.Sprintf(nginxFrame, s.workers, s.dir, servers, max(4096, s.connections+64)))
	return []string{"-c", file}, err
}

const nginxFrame = `daemon off;
user root;
worker_processes %[1]d;
pid %[2]s/pid;
error_log %[2]s/error.log;
pcre_jit on;
events { worker_connections %[4]d; }
http {
  access_log off;
  sendfile on;
  tcp_nopush on;
  keepalive_requests 1000000;
  client_body_temp_path %[2]s/body;
  proxy_temp_path %[2]s/proxy;
  fastcgi_temp_path %[2]s/fastcgi;
  scgi_temp_path %[2]s/scgi;
  uwsgi_temp_path %[2]s/uwsgi;
  types { text/html html; }
  default_type text/plain;
  server_names_hash_max_size 65536;
  server_names_hash_bucket_size 128;
%[3]s}
`

const nginxHandler = `
      local path, host = ngx.var.uri, ngx.var.host
      ngx.header["Content-Type"] = "text/plain"
      ngx.header["X-Path"] = path
      local body = "hello " .. host .. path
      ngx.header["Content-Length"] = #body
      ngx.print(body)
    `

const nginxProxy = `location / {
    proxy_pass http://backend;
    proxy_http_version 1.1;
    proxy_set_header Connection "";
    proxy_set_header Host $host;
    proxy_set_header X-Forwarded-For $remote_addr;
    proxy_set_header X-Forwarded-Proto $scheme;
  }`

func nginxServer(s site, format string, args ...any) string {
	return fmt.Sprintf("  server {\n  listen %s backlog=4096;\n  %s\n  }\n", s.addr, fmt.Sprintf(format, args...))
}

func nginxUpstream(s site, socket string) string {
	return fmt.Sprintf("  upstream backend { server unix:%s; keepalive %d; }\n", socket, s.connections)
}

// nginxParams are those of the file fastcgi.conf that comes with nginx.
func nginxParams() string {
	var b strings.Builder
	for _, p := range [][2]string{
		{"SCRIPT_FILENAME", "$document_root$fastcgi_script_name"}, {"QUERY_STRING", "$query_string"},
		{"REQUEST_METHOD", "$request_method"}, {"CONTENT_TYPE", "$content_type"}, {"CONTENT_LENGTH", "$content_length"},
		{"SCRIPT_NAME", "$fastcgi_script_name"}, {"REQUEST_URI", "$request_uri"}, {"DOCUMENT_URI", "$document_uri"},
		{"DOCUMENT_ROOT", "$document_root"}, {"SERVER_PROTOCOL", "$server_protocol"}, {"REQUEST_SCHEME", "$scheme"},
		{"GATEWAY_INTERFACE", "CGI/1.1"}, {"SERVER_SOFTWARE", "nginx/$nginx_version"}, {"REMOTE_ADDR", "$remote_addr"},
		{"REMOTE_PORT", "$remote_port"}, {"SERVER_ADDR", "$server_addr"}, {"SERVER_PORT", "$server_port"},
		{"SERVER_NAME", "$server_name"}, {"REDIRECT_STATUS", "200"},
	} {
		fmt.Fprintf(&b, "fastcgi_param %s %s; ", p[0], p[1])
	}
	return b.String()
}

// nginxRules takes one location after another for the rules.
func nginxRules(s site, locations ...string) string {
	var b strings.Builder
	for i := 1; i <= s.n; i++ {
		fmt.Fprintf(&b, "  location "+locations[(i-1)%len(locations)]+" { add_header %s %d; return 200 %q; }\n", i, ruleHeader, i, ruleBody)
	}
	return nginxServer(s, "location / { return 404; }\n%s", b.String())
}

func nginxHosts(s site) string {
	var b strings.Builder
	b.WriteString(nginxServer(s, "return 404;"))
	for i := 1; i <= s.n; i++ {
		fmt.Fprintf(&b, "  server { listen %s; server_name %s; location / { add_header %s %d; return 200 %q; } }\n",
			s.addr, vhostName(i), ruleHeader, i, ruleBody)
	}
	return b.String()
}
