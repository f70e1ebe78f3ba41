package playground

import (
	"crypto/rand"
	"embed"
	"fmt"
	"net/http"
	"strings"
)

// assets are the page and what web/ is bundled to.
//
//go:generate sh -c "cd web && npm ci && npm run build"
//go:embed assets
var assets embed.FS

//go:embed assets/index.html
var page string

// nonceMark is in the page where the nonce of its styles goes.
const nonceMark = "NONCE"

// servePage serves the page. The editor writes its styles with a nonce; all else comes from
// files, and nothing from elsewhere.
func servePage(w http.ResponseWriter, _ *http.Request) {
	nonce := rand.Text()
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", fmt.Sprintf("default-src 'none'; script-src 'self'; style-src 'self' 'nonce-%s'; connect-src 'self'; "+
		"img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'", nonce))
	fmt.Fprint(w, strings.ReplaceAll(page, nonceMark, nonce))
}

func serveAssets() http.Handler { return http.FileServerFS(assets) }
