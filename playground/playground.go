// Package playground is a web page to try a script in: an editor that checks while one
// types, requests that run through the pipeline without a server, and the pipeline as a tree
// with the path of the request in it.
//
// Scripts run in the process that serves the page. Whoever can use the page can therefore do
// what its user can; see [Playground.ServeHTTP] for who that is.
package playground

import (
	"crypto/rand"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"mime"
	"net"
	"net/http"
	"time"

	"luaserve/reference"
	"luaserve/runtime"
)

// Config says what a playground works on.
type Config struct {
	// File is the script, by the name that places in messages have: "site.lua".
	File string
	// Save allows to write the file. Without it the page offers it as a download.
	Save bool
	// Runtime says how scripts are loaded: Modules, Scripts, Sandbox and LuaBudget. What is typed
	// runs while it is typed, so that the level is SandboxHandler unless another one is set. The
	// budget, a second unless another one is set, also holds for loading. The playground sets the
	// other limits, the log, Inspect and Unsaved.
	Runtime runtime.Config
	// Reference is what the editor completes and explains.
	Reference *reference.Reference
}

// Playground is an [http.Handler]. It is safe for concurrent use; one request with a script
// is served after the other.
type Playground struct {
	config Config
	token  string
	mux    *http.ServeMux
	loader loader
}

// New makes a playground with a token of its own. Close it in the end.
func New(c Config) *Playground {
	if c.Runtime.Sandbox.Level == runtime.SandboxDefault {
		c.Runtime.Sandbox.Level = runtime.SandboxHandler
	}
	if c.Runtime.LuaBudget == 0 {
		c.Runtime.LuaBudget = time.Second
	}
	p := &Playground{config: c, token: rand.Text(), loader: loader{config: c}}
	p.mux = http.NewServeMux()
	p.mux.HandleFunc("GET /{$}", servePage)
	p.mux.Handle("GET /assets/", serveAssets())
	api := func(pattern string, serve func(*http.Request) (any, error)) {
		p.mux.Handle(pattern, p.authorized(answerJSON(serve)))
	}
	api("GET /api/script", p.script)
	api("GET /api/complete", p.complete)
	api("POST /api/check", p.check)
	api("POST /api/run", p.run)
	api("POST /api/save", p.save)
	return p
}

// Close frees what the last script holds.
func (p *Playground) Close() { p.loader.close() }

// URL is where the page is, for a server on addr. The token stands behind the # and is not
// sent: the page keeps it and shows it with each call.
func (p *Playground) URL(addr net.Addr) string {
	return fmt.Sprintf("http://%s/#%s", addr, p.token)
}

// ServeHTTP serves the page to anybody on this machine, and all that touches a script only
// to pages of this server that know the token. Other web pages in the same browser are kept
// out three times: the Host must be this server's address (DNS rebinding), so must the
// Origin be, and the token is in a header field that a foreign page could not send.
func (p *Playground) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Cache-Control", "no-store")
	if err := checkOrigin(r); err != nil {
		http.Error(w, err.Error(), http.StatusForbidden)
		return
	}
	p.mux.ServeHTTP(w, r)
}

// checkOrigin refuses requests that a page of another server has made.
func checkOrigin(r *http.Request) error {
	addr, ok := r.Context().Value(http.LocalAddrContextKey).(*net.TCPAddr)
	if !ok || !addr.IP.IsLoopback() {
		return errors.New("the playground answers on 127.0.0.1 only")
	}
	host, port, err := net.SplitHostPort(r.Host)
	if err != nil || port != fmt.Sprint(addr.Port) || host != "localhost" && host != addr.IP.String() {
		return fmt.Errorf("the host %q is not that of the playground", r.Host)
	}
	if origin := r.Header.Get("Origin"); origin != "" && origin != "http://"+r.Host {
		return fmt.Errorf("the origin %q is not the playground", origin)
	}
	switch site := r.Header.Get("Sec-Fetch-Site"); site {
	case "", "same-origin", "none":
		return nil
	default:
		if r.URL.Path == "/" && r.Header.Get("Sec-Fetch-Mode") == "navigate" {
			return nil // a link to the page, which does nothing by itself
		}
		return fmt.Errorf("a %s request is not answered", site)
	}
}

// tokenField is the header field with the token.
const tokenField = "X-Playground-Token"

func (p *Playground) authorized(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if subtle.ConstantTimeCompare([]byte(r.Header.Get(tokenField)), []byte(p.token)) != 1 {
			http.Error(w, "the token is missing or wrong: open the address that luaserve playground has printed", http.StatusForbidden)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// apiError is an error with its status.
type apiError struct {
	status int
	error
}

// maxRequest bounds what the page sends: a script, a request and its body.
const maxRequest = 32 << 20

// answerJSON serves a call that takes and returns JSON.
func answerJSON(serve func(*http.Request) (any, error)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.Body = http.MaxBytesReader(w, r.Body, maxRequest)
		answer, err := serve(r)
		status := http.StatusOK
		if err != nil {
			status = http.StatusInternalServerError
			if e, ok := errors.AsType[apiError](err); ok {
				status = e.status
			}
			answer = map[string]string{"error": err.Error()}
		}
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_ = json.NewEncoder(w).Encode(answer) // the page has gone away
	})
}

// readJSON reads what the page has sent.
func readJSON[T any](r *http.Request) (T, error) {
	var v T
	if kind, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type")); kind != "application/json" {
		return v, apiError{http.StatusUnsupportedMediaType, errors.New("expected application/json")}
	}
	if err := json.NewDecoder(r.Body).Decode(&v); err != nil {
		return v, apiError{http.StatusBadRequest, fmt.Errorf("the request cannot be read: %w", err)}
	}
	return v, nil
}
