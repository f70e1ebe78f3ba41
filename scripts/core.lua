-- core.lua: the actions core.wsgi, core.cached_html, core.xsendfile and auth.require_user.
--
--   lua.plugin "core.lua"
--
-- Names and arguments are those of lighttpd2's plugin of the same name.

local function fail(format, ...)
  error(format:format(...), 0)
end

-- core.wsgi(prefix, app): mounts a WSGI application below a URL prefix.
--
-- The path is split into SCRIPT_NAME, where the application is mounted, and PATH_INFO,
-- what it routes by (PEP 3333): SCRIPT_NAME never ends with a slash, PATH_INFO is empty
-- or begins with one. The prefix only takes whole path segments: "/trac" takes "/trac"
-- and "/trac/wiki", but not "/tracker". A prefix "/trac/" takes only what is below it.
--
--   actions = core.wsgi("/trac", { fastcgi "unix:/run/trac.sock" })
---@param prefix string "", or a path that begins with "/"
---@param app lighty.Actions what runs the application
local function wsgi(prefix, app)
  if type(prefix) ~= "string" then
    fail("expected the URL prefix, a string, as first argument, got a %s", type(prefix))
  end
  if app == nil then
    fail("expected the actions that run the application as second argument")
  end
  if prefix ~= "" and prefix:sub(1, 1) ~= "/" then
    fail('the prefix %q must begin with "/", or be empty', prefix)
  end
  local mount = prefix:match("^(.-)/*$")

  local function split(vr)
    local uri = vr.req.uri
    vr.phys.pathinfo = uri.path:sub(#mount + 1)
    uri.path = mount
  end

  local run = action.list(split, app)
  if mount == "" then
    return run
  end
  local inside = request.path:prefix(mount .. "/")
  if prefix == mount then
    inside = any { request.path:eq(mount), inside }
  end
  return action.when(inside, run)
end

-- core.cached_html(): serves page.html for /page, where an application left one.
--
-- Nothing changes when the URL leads to a file already or ends with ".html".
-- Put it behind docroot; look at physical.is_file afterwards.
--
--   actions = { docroot "/var/www", core.cached_html(), static() }
local function cached_html()
  local function try(vr)
    local path = vr.phys.path:match("^(.-)/*$")
    if path == "" then
      return
    end
    local html = path .. ".html"
    local st = vr:stat(html)
    if st and st.is_file then
      vr.phys.path = html
    end
  end
  return action.when(all { physical.is_file:isnot(), physical.path:notsuffix(".html") }, try)
end

-- core.xsendfile([docroot]): sends the file that a backend names in "X-Sendfile".
--
-- Put it behind the backend. The file takes the place of the body; status and headers
-- stay the backend's, but X-Sendfile itself never reaches the client. With a docroot the
-- file must be a regular one below it, symbolic links resolved. A file that may not or
-- cannot be sent is an error (500).
--
--   actions = { fastcgi "unix:/run/app.sock", core.xsendfile "/srv/files/" }
---@param docroot? string a directory; without one any file can be sent
local function xsendfile(docroot)
  if docroot ~= nil and type(docroot) ~= "string" then
    fail("expected a directory, a string, got a %s", type(docroot))
  end
  return function(vr)
    if not vr.has_response then
      return
    end
    local headers = vr.resp.headers
    local file = headers["X-Sendfile"]
    if file == "" then -- names no file; it goes on, as in lighttpd2
      return
    end
    headers["X-Sendfile"] = nil
    headers["Content-Length"] = nil
    vr.out:reset()
    if docroot then
      vr.out:add { filename = file, root = docroot }
    else
      vr.out:add_file(lighty.path_simplify(file))
    end
    vr.out.is_closed = true
  end
end

-- auth.require_user(...): admits only these users; put it behind an auth action.
--
-- Names are compared as they are. An empty name is refused: it would admit everybody who
-- did not log in.
--
--   actions = { auth.plain { method = "basic", realm = "staff", file = "users.txt" },
--     auth.require_user("alice", "bob"), respond "hello" }
---@param ... any names of users, or one list of them
local function require_user(...)
  local users = { ... }
  if #users == 1 and type(users[1]) == "table" then
    users = users[1]
  end
  if #users == 0 then
    fail("expected at least one user name")
  end
  local known = {}
  for i, user in ipairs(users) do
    if type(user) ~= "string" or user == "" then
      fail("user %d: expected a name", i)
    end
    known[i] = request.environment["REMOTE_USER"]:eq(user)
  end
  return action.when(none(known), action.auth.deny())
end

actions = {
  ["core.wsgi"] = wsgi,
  ["core.cached_html"] = cached_html,
  ["core.xsendfile"] = xsendfile,
  ["auth.require_user"] = require_user,
}
