package lint_test

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"luaserve/bindings"
	"luaserve/lint"
	"luaserve/runtime"
	"luaserve/scripts"
)

// BenchmarkCheck checks sites of many virtual hosts with 20 rules each.
func BenchmarkCheck(b *testing.B) {
	for _, hosts := range []int{100, 1000} {
		b.Run(fmt.Sprint(hosts), func(b *testing.B) {
			file := filepath.Join(b.TempDir(), "site.lua")
			if err := os.WriteFile(file, []byte(manyHosts(hosts)), 0o600); err != nil {
				b.Fatal(err)
			}
			p, err := runtime.Load(file, runtime.Config{
				Modules: bindings.Modules(), Scripts: scripts.FS, Log: slog.New(slog.DiscardHandler), Inspect: true,
			})
			if err != nil {
				b.Fatal(err)
			}
			defer p.Close()
			b.ReportAllocs()
			for b.Loop() {
				if found := lint.Check(p, lint.Options{}); len(found) > 0 {
					b.Fatal(found[0])
				}
			}
		})
	}
}

func manyHosts(n int) string {
	var s strings.Builder
	s.WriteString("actions = vhost.map {\n")
	for h := range n {
		fmt.Fprintf(&s, "[\"h%d.test\"] = {\n", h)
		for r := 0; r < 20; r += 2 {
			fmt.Fprintf(&s, " when(request.path:prefix \"/h%[1]d-%[2]d/\", { header.add(\"X-Rule\", \"%[2]d\") }),\n"+
				" when(request.path:match \"^/user%[2]d/([a-z]+)$\", { rewrite \"/u.php?%%1\" }, { env.set(\"R\", \"%[2]d\") }),\n", h, r)
		}
		fmt.Fprintf(&s, " respond \"host %d\"\n},\n", h)
	}
	return s.String() + "default = respond(404) }"
}
