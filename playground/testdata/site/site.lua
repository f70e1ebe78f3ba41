setup.mime_types "default"
lua.plugin "core.lua"

-- JSON for whoever asks for it
local function version(vr)
  if vr:handle_direct() then
    vr.resp.status = 200
    vr.resp.headers["Content-Type"] = "application/json"
    vr:info("somebody asks for the version")
    vr.out:add(lighty.json_encode { name = "trac", version = 12 })
  end
end

local trac = {
  docroot "htdocs",
  alias { ["/trac-static/"] = "/usr/share/trac/htdocs/" },
  when(request.path:match "\\.(css|png|js|gif)$", { expire "access 1 week" }),
  when(physical.is_file,
    { header.add("X-Cleanurl", "hit"), static() },
    { header.add("X-Cleanurl", "miss"), core.wsgi("", { fastcgi "unix:/run/trac.sock" }) }),
}

actions = {
  header.add("X-Content-Type-Options", "nosniff"),
  when(any { request.path:prefix "/.git", request.path:suffix "~" }, { respond(403, "forbidden\n") }),
  when(request.header["User-Agent"]:match "BadBot", { respond(429, "slow down\n") }),
  when(request.path:eq "/version", { version }),
  vhost.map {
    ["trac.example.net"] = trac,
    ["old.example.net"] = { redirect "http://trac.example.net/" },
    default = { respond(404, "no such site: %{request.host}\n") },
  },
}
