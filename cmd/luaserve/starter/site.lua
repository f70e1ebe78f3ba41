-- The whole configuration of a site. It runs once, when it is loaded, and leaves in "actions"
-- what is done with each request.
--
--   luaserve run --dev --watch site.lua   serve it, load it again when it is changed, and show errors
--   luaserve check site.lua           say what is wrong with it
--   luaserve test                     run the tests in site_test.lua
--   luaserve explain site.lua http://localhost/hello     tell which rules take a request
--   luaserve doc redirect             explain a name
--
-- Editors with lua-language-server complete and explain the names: lighty.d.lua tells them.

setup.listen "127.0.0.1:8080"
setup.mime_types "default" -- Content-Type by the end of a file's name
lua.plugin "core.lua" -- core.wsgi, see below

local dir = (...):match "^(.*)/" or "." -- where this file is

-- A Lua function is an action too; it gets the request as vr.
---@param vr lighty.vrequest
local function hello(vr)
  if not vr:handle_direct() then -- another action has answered already
    return
  end
  local name = vr.req.uri.query:match "name=([%w-]+)" or "world"
  vr.resp.status = 200
  vr.resp.headers["Content-Type"] = "application/json"
  vr.out:add(lighty.json_encode { hello = name })
end

-- The actions run in this order, for each request. The first that can answers it; those
-- behind it still see the answer and can change it.
actions = {
  header.add("X-Content-Type-Options", "nosniff"),
  redirect { { "^/old/(.*)$", "/$1" } },
  when(request.path:match "/\\.", { respond(404, "not found\n") }), -- .git, .htpasswd, …
  when(request.path:eq "/hello", { hello }),

  docroot(dir .. "/htdocs"), -- maps the URL to a file
  index "index.html",
  when(all { physical.is_file, request.path:match "\\.(css|js|png|svg|woff2)$" }, { expire "access 1 week" }),
  static_no_fail(), -- sends the file, if there is one

  -- An application for all that is no file. WSGI behind FastCGI:
  --   uwsgi --plugin python3 --fastcgi-socket /run/app.sock --chdir app --module wsgi --master
  -- Without the comment the next line hands it the request; "/app" in place of "" would give
  -- it the URLs below /app only.
  -- core.wsgi("", { fastcgi "unix:/run/app.sock" }),

  respond(404, "not found\n"),
}
