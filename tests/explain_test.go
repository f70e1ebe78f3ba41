package tests

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"luaserve/explain"
	"luaserve/runtime"
)

// A running server explains a request that is signed, with what its backend really says, and
// answers all others.
func TestExplainOnServer(t *testing.T) {
	b := startBackend(t)
	dir := t.TempDir()
	site := fmt.Sprintf(`
setup.listen "127.0.0.1:%d"
actions = action.debug.explain(%q, {
  header.add("X-Site", "here"),
  when(request.path:prefix "/app", { fastcgi %q }, { function(vr) error "broken" end }),
})`, freePort(t), filepath.Join(dir, "explain.key"), b.FCGI)
	port := strings.Fields(strings.SplitN(site, "127.0.0.1:", 2)[1])[0]
	server := "http://127.0.0.1:" + strings.TrimSuffix(port, `"`)
	for name, text := range map[string]string{"site.lua": site, "explain.key": "0123456789abcdef\n", "other.key": "another key, as long\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	log := &logBuffer{}
	stop, err := startSite(t, filepath.Join(dir, "site.lua"), log)
	if err != nil {
		t.Fatal(err)
	}
	ask := func(keyFile, url string) (*explain.Result, error) {
		key, err := explain.ReadKey(filepath.Join(dir, keyFile))
		if err != nil {
			t.Fatal(err)
		}
		return explain.Ask(context.Background(), server, key, explain.Request{URL: url, Header: []runtime.Field{{Name: "X-Test", Value: "1"}}})
	}

	r, err := ask("explain.key", "http://example.net/app?echo")
	if err != nil {
		t.Fatal(err)
	}
	if r.URL != "http://example.net/app?echo" || r.Status != 200 || r.Decided == nil || r.Decided.Name != "fastcgi" || r.Decided.Reached || r.Decided.Line != 5 {
		t.Errorf("%+v %+v", r, r.Decided)
	}
	var text strings.Builder
	if err := r.Text(&text, explain.Style{}); err != nil || !strings.Contains(text.String(), `when request.path:prefix("/app") saw "/app": yes`) {
		t.Errorf("%v\n%s", err, text.String())
	}

	if r, err = ask("explain.key", "http://example.net/other"); err != nil || r.Status != 500 || r.Decided.Failed == "" {
		t.Errorf("a broken rule: %v %+v", err, r)
	}
	if _, err := ask("other.key", "http://example.net/app"); !errors.Is(err, explain.ErrNotExplained) {
		t.Errorf("another key: %v", err)
	}
	resp, err := http.Get(server + "/app")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.Header.Get("X-Site") != "here" || resp.Header.Get("Content-Type") == explain.ContentType {
		t.Errorf("a request that nobody signed: %v", resp.Header)
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
}
