-- secdownload.lua: the action secdownload, links that expire.
--
--   lua.plugin "secdownload.lua"
--
-- Names and meaning are those of lighttpd2's plugin.

local function fail(format, ...)
  error(format:format(...), 0)
end

local function deny(vr, status)
  if vr:handle_direct() then
    vr.resp.status = status
  end
end

-- secdownload(options): maps links that were signed and have not expired to files.
--
-- A link is prefix .. md5 .. "/" .. time .. file, where time is the Unix time in
-- hexadecimal digits, file begins with a slash, and md5 is the hexadecimal MD5 of
-- secret .. file .. time. Other URLs below the prefix are answered with 403, expired links
-- with 410. Put it before static.
--
--   actions = { secdownload { prefix = "/sec/", ["document-root"] = "/secret/path", secret = "abc", timeout = 600 }, static() }
---@param options table "prefix" ("/"), "document-root", "secret", and "timeout" in seconds (60)
local function secdownload(options)
  if type(options) ~= "table" then
    fail("expected a table of options, got a %s", type(options))
  end
  local secret, root = options["secret"], options["document-root"]
  if type(secret) ~= "string" or secret == "" then
    fail("the option secret is missing")
  end
  if type(root) ~= "string" or root == "" then
    fail("the option document-root is missing")
  end
  local prefix = options["prefix"] or "/"
  local timeout = tonumber(options["timeout"] or 60)
  if type(prefix) ~= "string" or not timeout then
    fail("the option prefix must be a string, timeout a number of seconds")
  end
  root = root:match("^(.-)/*$")

  local function check(vr)
    if vr.is_handled then
      return
    end
    local digest, stamp, file = vr.req.uri.path:sub(#prefix + 1):match("^(%x+)/(%x+)(/.*)$")
    if not digest or #digest ~= 32 or #stamp > 12 then
      return deny(vr, 403)
    end
    -- the signature first: the time in a forged link is nobody's business
    if not lighty.equal(digest:lower(), lighty.md5(secret .. file .. stamp)) then
      return deny(vr, 403)
    end
    if math.abs(os.time() - tonumber(stamp, 16)) > timeout then
      return deny(vr, 410)
    end
    vr.phys.doc_root = root
    vr.phys.path = root .. file
  end

  return action.when(request.path:prefix(prefix), check)
end

actions = { ["secdownload"] = secdownload }
