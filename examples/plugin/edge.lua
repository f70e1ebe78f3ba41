-- edge.lua: what a site puts in front of its application, as one plugin.
--
--   lua.plugin("edge.lua", nil, { salt = "…" })
--   setup["edge.maintenance"]("/srv/site/maintenance.txt")
--   actions = { edge.guard(), edge.language { "en", "de" }, edge.include(), static() }
--
-- It is written against the request API of lighttpd2 and uses every object of it.

local filename, args = ...
local salt = args and args["salt"] or "edge"

local settings = {}

-- answer handles the request with a short text.
local function answer(vr, status, text)
  if vr:handle_direct() then
    vr.resp.status = status
    vr.resp.headers["Content-Type"] = "text/plain; charset=utf-8"
    vr.out:add(text .. "\n")
  end
end

-- edge.guard(): gives the request an id, shows the maintenance page while its file is
-- there, and refuses uploads whose checksum is wrong.
local function guard()
  return action.list(
    function(vr)
      local id = lighty.sha256(salt .. vr.con.remote .. vr.req.uri.raw_orig_path):sub(1, 12)
      vr.env:weak_set("REQUEST_ID", id)
      vr.req.headers["X-Request-Id"] = vr.env["REQUEST_ID"]
      vr.resp.headers:insert("X-Request-Id", vr.env:get("REQUEST_ID") or id)
    end,
    function(vr)
      local page = settings.maintenance
      if not page then return end
      local st, res, errno, msg = vr:stat(page)
      if res == lighty.HANDLER_WAIT_FOR_EVENT then return res end
      if st and st.is_file and st.size > 0 and vr:handle_direct() then
        vr.resp.status = 503
        vr.resp.headers["Retry-After"] = 60
        vr.resp.headers["Content-Type"] = "text/plain"
        vr.out:add_file(page)
      elseif not st and errno ~= 2 then
        vr:warning("maintenance page: " .. msg)
      end
    end,
    function(vr)
      local want = vr.req.headers["X-Sha256"]
      if want == "" or vr.is_handled then return end
      local body = vr["in"]:read()
      if not lighty.equal(lighty.sha256(body), want:lower()) then
        return answer(vr, 422, "the checksum of the body is wrong")
      end
      vr["in"]:add(body) -- for the application behind
    end)
end

-- edge.language { "en", "de" }: serves page.de.html where the client prefers German.
local function language(known)
  local set = {}
  for _, name in ipairs(known) do set[name] = true end
  return function(vr)
    local phys = vr.phys
    local base, extension = phys.path:match("^(.*)(%.html)$")
    if not base then return end
    for name in vr.req.headers:get("Accept-Language"):gmatch("%a+") do
      if set[name:lower()] then
        local variant = base .. "." .. name:lower() .. extension
        local st = vr:stat(variant)
        if st and st.is_file then
          phys.path = variant
          vr.resp.headers["Content-Language"] = name:lower()
          vr.resp.headers:append("Vary", "Accept-Language")
        end
        return
      end
    end
  end
end

-- An out-filter that replaces <!--include /path--> by the answer of the site to that path.
local Include = {}
Include.__index = Include

function Include:new(vr)
  if vr.req.http_method == "HEAD" then return nil end
  return setmetatable({ text = {} }, self)
end

function Include:handle(vr, outq, inq)
  while #inq > 0 do
    self.text[#self.text + 1] = inq:read()
  end
  if not inq.is_closed then return lighty.HANDLER_GO_ON end
  local whole = table.concat(self.text):gsub("<!%-%-include (%S+)%-%->", function(path)
    return settings.parts and settings.parts[path] or ""
  end)
  outq:add(whole)
  outq.is_closed = true
  return lighty.HANDLER_GO_ON
end

function Include:finished()
  self.text = nil
end

-- edge.include(): the parts come from the setup edge.parts { ["/menu"] = "<nav>…</nav>" }.
local function include()
  return lighty.filter_out(Include)
end

-- edge.about(): tells everything about the request, for curious people.
local function about()
  return function(vr)
    if vr.has_response then return end
    local lines = {}
    local function say(name, value) lines[#lines + 1] = name .. ": " .. tostring(value) end
    local uri = vr.req.uri
    say("request", vr.req.http_method .. " " .. uri.raw .. " " .. vr.req.http_version)
    say("body", vr.req.content_length)
    for _, part in ipairs { "scheme", "authority", "host", "path", "query" } do say("uri." .. part, uri[part]) end
    say("doc_root", vr.phys.doc_root)
    say("pathinfo", vr.phys.pathinfo)
    say("from", vr.con.remote .. " to " .. vr.con["local"])
    for name, value in vr.req.headers:pairs() do say("header " .. name, value) end
    for name, value in vr.env:pairs() do say("env " .. name, value) end
    answer(vr, 200, table.concat(lines, "\n"))
  end
end

-- edge.health(actions): asks the application behind with a subrequest and sums up.
local function health(app)
  local probe = action.list(app)
  return function(vr)
    local sub = vr:subrequest(probe)
    local ok = sub.status >= 200 and sub.status < 400
    answer(vr, ok and 200 or 503, lighty.json_encode { healthy = ok, status = sub.status, bytes = #sub.body })
  end
end

setups = {
  ["edge.maintenance"] = function(file)
    if type(file) ~= "string" then error("edge.maintenance expects a file name", 0) end
    settings.maintenance = file
  end,
  ["edge.parts"] = function(parts)
    settings.parts = {}
    for _, pair in ipairs(parts) do settings.parts[pair[1]] = pair[2] end
  end,
}

actions = {
  ["edge.guard"] = guard,
  ["edge.language"] = function(...) return language(type(...) == "table" and (...) or { ... }) end,
  ["edge.include"] = include,
  ["edge.about"] = about,
  ["edge.health"] = health,
}
