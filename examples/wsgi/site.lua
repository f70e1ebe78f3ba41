-- The configuration of lighttpd2's HOWTO for WSGI applications: static files, two aliases,
-- expiry, the clean-URL header, and the application, which owns every other URL.
--
--   luaserve run examples/wsgi/site.lua
--
-- README.md says how to start the application.

setup.listen "127.0.0.1:8080"
setup.mime_types "default"
lua.plugin "core.lua"

local dir = (...):match "^(.*)/" or "."
local socket = os.getenv "WSGI_SOCKET" or dir .. "/app.sock"

local trac = {
  docroot(dir .. "/htdocs/"),
  alias { ["/trac-static/"] = dir .. "/static", ["/chrome/common/"] = dir .. "/static" },
  when(request.path:match "\\.(css|png|js|gif)$", { expire "access 1 week" }),
  when(physical.is_file,
    { header.add("X-cleanurl", "hit"), static() },
    { header.add("X-cleanurl", "miss"), core.wsgi("", { fastcgi("unix:" .. socket) }) }),
}

actions = vhost.map {
  ["trac.example.net"] = trac,
  ["localhost"] = trac,
  ["127.0.0.1"] = trac,
  default = { respond(404) },
}
