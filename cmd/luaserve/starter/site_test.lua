-- The tests of site.lua: luaserve test runs them. docs/testing.md says what they can do.

test("it greets", function(t)
  local r = t:get "http://localhost/hello?name=Ann"
  t:eq(r.status, 200)
  t:eq(r.body, '{"hello":"Ann"}')
end)

test("old addresses lead to the new ones", function(t)
  local r = t:get "http://localhost/old/page"
  t:eq(r.status, 301)
  t:eq(r.headers.Location, "http://localhost/page")
end)

test("hidden files stay hidden", function(t)
  t:eq(t:get("http://localhost/.git/config").status, 404)
end)

test("the page is sent", function(t)
  t:contains(t:get("http://localhost/").body, "It works")
end)
