package main

import "fmt"

// configureLuaserve writes the script; `luaserve run` has no other settings.
func configureLuaserve(s site) ([]string, error) {
	script := fmt.Sprintf("setup.listen %q\n", s.addr)
	switch s.kind {
	case fixedAnswer:
		script += fmt.Sprintf("actions = respond %q\n", fixedBody)
	case luaHandler:
		script += luaserveHandler
	case staticFile:
		script += fmt.Sprintf("setup.mime_types { [\".html\"] = \"text/html\" }\nactions = { docroot %q, static() }\n", s.htdocs)
	case fastCGI:
		script += fmt.Sprintf("actions = { docroot %q, fastcgi %q }\n", s.htdocs, "unix:"+s.fastcgiSocket)
	case httpProxy:
		script += fmt.Sprintf("actions = proxy %q\n", "unix:"+s.httpSocket)
	case prefixRules:
		script += luaserveRules(s.n, `request.path:prefix(("/p%05d/"):format(i))`)
	case regexRules:
		script += luaserveRules(s.n, `request.path:match(("^/r%05d/[0-9]+\\.html$"):format(i))`)
	case equalRules:
		script += luaserveRules(s.n, `request.path:eq(("/e%05d/page"):format(i))`)
	case suffixRules:
		script += luaserveRules(s.n, `request.path:suffix((".s%05d"):format(i))`)
	case mixedRules:
		script += luaserveMixed + luaserveRules(s.n, "mixed(i)")
	case elseRules:
		script += fmt.Sprintf(luaserveElse, s.n, ruleHeader, ruleBody)
	case virtualHosts:
		script += fmt.Sprintf(luaserveHosts, s.n, hostName, ruleHeader, ruleBody)
	}
	file, err := s.write("site.lua", script)
	return []string{"run", file}, err
}

const luaserveHandler = `
actions = function(vr)
  if vr:handle_direct() then
    local uri, headers = vr.req.uri, vr.resp.headers
    vr.resp.status = 200
    headers["Content-Type"] = "text/plain"
    headers["X-Path"] = uri.path
    vr.out:add("hello " .. uri.host .. uri.path)
  end
end
`

func luaserveRules(n int, condition string) string {
	return fmt.Sprintf(`
actions = {}
for i = 1, %d do
  actions[i] = when(%s, { header.overwrite(%q, tostring(i)), respond %q })
end
actions[#actions + 1] = respond(404)
`, n, condition, ruleHeader, ruleBody)
}

const luaserveMixed = `
local kinds = {
  function(i) return request.path:prefix(("/m%05d/"):format(i)) end,
  function(i) return request.path:eq(("/m%05d/42.html"):format(i)) end,
  function(i) return request.path:suffix(("/m%05d/42.html"):format(i)) end,
  function(i) return request.path:match(("^/m%05d/[0-9]+\\.html$"):format(i)) end,
}
local function mixed(i) return kinds[(i - 1) % 4 + 1](i) end
`

const luaserveElse = `
actions = respond(404)
for i = %d, 1, -1 do
  actions = when(request.path:prefix(("/p%%05d/"):format(i)), { header.overwrite(%q, tostring(i)), respond %q }, actions)
end
`

const luaserveHosts = `
local hosts = { default = respond(404) }
for i = 1, %d do
  hosts[("h%%05d.%s"):format(i)] = { header.overwrite(%q, tostring(i)), respond %q }
end
actions = vhost.map(hosts)
`
