package tests

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"strings"
	"testing"
)

// wallClock says which files may ask for the time of day, and what for. Everything else that waits,
// or counts how long something takes, keeps the time.Time, whose monotonic part a change of the
// clock leaves alone.
var wallClock = map[string]string{
	"bindings/accesslog_directives.go": "prints it",
	"bindings/auth_digest.go":          "nonces outlive the process",
	"bindings/etag.go":                 "times of files",
	"bindings/expire.go":               "Expires and max-age of files",
	"bindings/lua_lighty.go":           "gives it to scripts",
	"bindings/memcached/protocol.go":   "the expiry that the protocol wants",
	"bindings/status_metrics.go":       "prints it",
	"runtime/luastring/date.go":        "os.date and os.time",
	"runtime/clock.go":                 "os.date and os.time",
	"runtime/keptfiles_linux.go":       "times of files",
}

// A timeout that is reckoned in seconds since 1970 is endless when the clock is set back.
func TestTimeoutsDoNotFollowTheClock(t *testing.T) {
	seen := map[string]bool{}
	for _, folder := range []string{"bindings", "cmd", "runtime", "server"} {
		err := filepath.WalkDir("../"+folder, func(path string, _ fs.DirEntry, err error) error {
			if err != nil || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
				return err
			}
			set := token.NewFileSet()
			file, err := parser.ParseFile(set, path, nil, 0)
			if err != nil {
				return err
			}
			name := strings.TrimPrefix(filepath.ToSlash(path), "../")
			ast.Inspect(file, func(n ast.Node) bool {
				call, ok := n.(*ast.CallExpr)
				if !ok || !asksForTime(call) {
					return true
				}
				if seen[name] = true; wallClock[name] == "" {
					t.Errorf("%s: seconds since 1970: expected a time.Time, or a reason in wallClock", set.Position(call.Pos()))
				}
				return true
			})
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	for name := range wallClock {
		if !seen[name] {
			t.Errorf("%s: does not ask for the time of day any more", name)
		}
	}
}

// asksForTime tells the methods of time.Time that count from 1970, and time.Unix of something that
// is computed; of numbers it is a moment that is long over.
func asksForTime(call *ast.CallExpr) bool {
	f, ok := call.Fun.(*ast.SelectorExpr)
	if !ok {
		return false
	}
	switch f.Sel.Name {
	case "Unix", "UnixNano", "UnixMilli", "UnixMicro":
	default:
		return false
	}
	for _, arg := range call.Args {
		if _, literal := arg.(*ast.BasicLit); literal {
			return false
		}
	}
	return true
}
