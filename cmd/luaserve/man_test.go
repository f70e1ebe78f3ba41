package main

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"
)

var update = flag.Bool("update", false, "write the man pages anew")

// TestManPages holds docs/man against the commands; -update writes it anew.
func TestManPages(t *testing.T) {
	root := new(app).rootCommand()
	root.DisableAutoGenTag = true
	pages := append([]*cobra.Command{root}, root.Commands()...)
	for _, cmd := range pages {
		if cmd.Hidden {
			continue
		}
		// without a date of its own a page would be stale every month
		header := &doc.GenManHeader{Section: "1", Source: "luaserve", Manual: "luaserve", Date: &time.Time{}}
		var page bytes.Buffer
		if err := doc.GenMan(cmd, header, &page); err != nil {
			t.Fatal(err)
		}
		text := strings.Replace(page.String(), "Jan 0001", "", 1)
		file := filepath.Join("../../docs/man", strings.ReplaceAll(cmd.CommandPath(), " ", "-")+".1")
		if *update {
			if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
			continue
		}
		if have, err := os.ReadFile(file); err != nil || string(have) != text {
			t.Errorf("%s is stale (%v); go test ./cmd/luaserve -run ManPages -update writes it anew", file, err)
		}
	}
}

func TestCompletions(t *testing.T) {
	for _, shell := range []string{"bash", "zsh", "fish", "powershell"} {
		if r := luaserve(t, t.TempDir(), "completion", shell); r.code != 0 || len(r.stdout) < 1000 {
			t.Errorf("%s: exit %d, %s", shell, r.code, r.stderr)
		}
	}
	if r := luaserve(t, t.TempDir(), "__complete", "run", "--w"); !strings.Contains(r.stdout, "--watch") {
		t.Errorf("no flag is completed: %s", r.stdout)
	}
}
