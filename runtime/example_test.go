package runtime_test

import (
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"

	"luaserve/bindings"
	"luaserve/runtime"
	"luaserve/scripts"
)

// A loaded script is an http.Handler like any other.
func ExampleLoad() {
	dir, err := os.MkdirTemp("", "example")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	file := filepath.Join(dir, "site.lua")
	script := `actions = {
  when(request.path:prefix "/old/", { redirect("^/old/(.*)$", "/new/$1") }),
  respond(200, "hello %{req.host}"),
}`
	if err := os.WriteFile(file, []byte(script), 0o600); err != nil {
		log.Fatal(err)
	}

	site, err := runtime.Load(file, runtime.Config{Modules: bindings.Modules(), Scripts: scripts.FS})
	if err != nil {
		log.Fatal(err)
	}
	defer site.Close()

	for _, url := range []string{"http://example.net/", "http://example.net/old/page"} {
		w := httptest.NewRecorder()
		site.ServeHTTP(w, httptest.NewRequest(http.MethodGet, url, nil))
		fmt.Println(w.Code, w.Header().Get("Location"), w.Body)
	}
	// Output:
	// 200  hello example.net
	// 301 http://example.net/new/page
}

// A host program hands functions and values to scripts by name; of objects scripts see
// only what Allow names.
func ExampleHostValue() {
	names := map[string]string{"7": "Ann"}

	dir, err := os.MkdirTemp("", "example")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	file := filepath.Join(dir, "site.lua")
	script := `actions = function(vr)
  if vr:handle_direct() then
    vr.resp.status = 200
    vr.out:add(name_of(vr.req.uri.query) .. " uses " .. app.Name)
  end
end`
	if err := os.WriteFile(file, []byte(script), 0o600); err != nil {
		log.Fatal(err)
	}

	site, err := runtime.Load(file, runtime.Config{
		Modules: bindings.Modules(),
		Host: map[string]runtime.HostValue{
			"name_of": {Value: func(id string) string { return names[id] }},
			"app":     {Value: &struct{ Name, Key string }{"the shop", "hidden"}, Allow: []string{"Name"}},
		},
	})
	if err != nil {
		log.Fatal(err)
	}
	defer site.Close()

	w := httptest.NewRecorder()
	site.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "http://example.net/?7", nil))
	fmt.Println(w.Body)
	// Output: Ann uses the shop
}
