-- site.lua with the application mounted at /trac: SCRIPT_NAME is /trac, and what is neither
-- a file nor below /trac is a 404 of the server.
--
--   luaserve run examples/wsgi/site-at-trac.lua

setup.listen "127.0.0.1:8080"
setup.mime_types "default"
lua.plugin "core.lua"

local dir = (...):match "^(.*)/" or "."
local socket = os.getenv "WSGI_SOCKET" or dir .. "/app.sock"

actions = {
  docroot(dir .. "/htdocs/"),
  alias { ["/trac-static/"] = dir .. "/static", ["/chrome/common/"] = dir .. "/static" },
  when(request.path:match "\\.(css|png|js|gif)$", { expire "access 1 week" }),
  when(physical.is_file,
    { header.add("X-cleanurl", "hit"), static() },
    { header.add("X-cleanurl", "miss"), core.wsgi("/trac", { fastcgi("unix:" .. socket) }) }),
}
