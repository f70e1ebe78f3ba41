-- The whole configuration of the site that "luaserve demo" serves.

setup.listen "127.0.0.1:8080"
setup.mime_types "default"
lua.plugin "core.lua"

local dir = (...):match "^(.*)/" or "."
local application = { fastcgi("unix:" .. dir .. "/app.sock") }

local file = assert(io.open(dir .. "/status.html"))
local template = file:read "*a"
file:close()

-- Handlers may count in variables of the script.
local started, requests, files = os.time(), 0, 0

local function count_request()
  requests = requests + 1
end

local function count_file()
  files = files + 1
end

-- status writes a page itself: status.html with values in the places of its %{…}.
local function status(vr)
  if not vr:handle_direct() then
    return
  end
  local values = {
    requests = requests,
    files = files,
    others = requests - files,
    seconds = os.time() - started,
  }
  vr.resp.status = 200
  vr.resp.headers["Content-Type"] = "text/html; charset=utf-8"
  vr.resp.headers["Cache-Control"] = "no-store"
  vr.out:add((template:gsub("%%{(%l+)}", values)))
end

-- site is what all hosts share; the application is mounted at each of the prefixes.
local function site(...)
  local mounts = {}
  for i, prefix in ipairs { ... } do
    mounts[i] = core.wsgi(prefix, application)
  end
  return {
    docroot(dir .. "/htdocs/"),
    alias { ["/trac-static/"] = dir .. "/trac/htdocs", ["/chrome/common/"] = dir .. "/trac/htdocs" },
    index "index.html",
    when(request.path:match "\\.(css|js|png)$", { expire "access 1 week" }),
    when(physical.is_file,
      { header.add("X-cleanurl", "hit"), count_file, static() },
      { header.add("X-cleanurl", "miss"), mounts }),
  }
end

actions = {
  count_request,
  when(request.path:match "/\\.", { respond(404) }),
  when(request.path:eq "/status", { status }),
  when(request.path:eq "/site.lua", { docroot(dir), header.add("Content-Type", "text/plain; charset=utf-8"), static() }),
  when(request.is_handled:isnot(), vhost.map {
    ["mounted.localhost"] = site "/trac",
    default = site("/trac", ""),
  }),
}
