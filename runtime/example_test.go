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

// priceModule is a module of one's own: what a script can call, in one table.
func priceModule(prices map[string]string) *runtime.Module {
	return &runtime.Module{
		Name: "price",
		Doc:  "Tells prices.",
		Actions: []runtime.ActionDef{{
			Name:    "price.show",
			Doc:     "Answers with the price of an article; without one in the list it does nothing.",
			Example: `actions = { price.show "%{req.query}", respond(404) }`,
			Params:  []runtime.Param{{Name: "article", Type: runtime.TPattern}},
			New: func(_ *runtime.Builder, args runtime.Args) (runtime.Action, error) {
				article := args.Pattern(0) // parsed when the script is loaded
				return runtime.ActionFunc(func(vr *runtime.VRequest) error {
					price, ok := prices[string(article.Append(nil, vr, nil))]
					if !ok || !vr.HandleDirect() {
						return nil // nothing to say, or somebody else has answered
					}
					vr.Response.Status = http.StatusOK
					vr.Out.Add([]byte(price))
					return nil
				}), nil
			},
		}},
	}
}

// A module gives scripts actions that are written in Go. What it needs from its program it
// gets when it is made.
func ExampleModule() {
	dir, err := os.MkdirTemp("", "example")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	file := filepath.Join(dir, "site.lua")
	script := `actions = { price.show "%{req.query}", respond(404, "no such article") }`
	if err := os.WriteFile(file, []byte(script), 0o600); err != nil {
		log.Fatal(err)
	}

	prices := map[string]string{"tea": "3.20"}
	site, err := runtime.Load(file, runtime.Config{
		Modules: append(bindings.Modules(), priceModule(prices)),
	})
	if err != nil {
		log.Fatal(err)
	}
	defer site.Close()

	for _, article := range []string{"tea", "coffee"} {
		w := httptest.NewRecorder()
		site.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "http://example.net/?"+article, nil))
		fmt.Println(w.Code, w.Body)
	}
	// Output:
	// 200 3.20
	// 404 no such article
}
