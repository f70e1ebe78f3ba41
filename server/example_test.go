package server_test

import (
	"context"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"

	"luaserve/bindings"
	"luaserve/runtime"
	"luaserve/scripts"
	"luaserve/server"
)

// A server listens on the addresses of its script, loads it again when it is told to, and
// lets requests end before it does.
func ExampleServer() {
	dir, err := os.MkdirTemp("", "example")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	file := filepath.Join(dir, "site.lua")
	write := func(answer string) {
		script := fmt.Sprintf("setup.listen '127.0.0.1:0'\nactions = respond %q", answer)
		if err := os.WriteFile(file, []byte(script), 0o600); err != nil {
			log.Fatal(err)
		}
	}
	write("hello")

	quiet := slog.New(slog.DiscardHandler)
	srv, err := server.New(server.Config{
		Site: file,
		Load: func(path string) (*runtime.Program, error) {
			return runtime.Load(path, runtime.Config{Modules: bindings.Modules(), Scripts: scripts.FS, Log: quiet})
		},
		Log: quiet,
	})
	if err != nil {
		log.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error)
	go func() { ended <- srv.Serve(ctx) }()

	ask := func() {
		resp, err := http.Get("http://" + srv.Addrs()[0].String())
		if err != nil {
			log.Fatal(err)
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		fmt.Println(string(body), err)
	}
	ask()
	write("hello again")
	if err := srv.Reload(); err != nil { // the old script goes on after an error
		log.Fatal(err)
	}
	ask()
	stop()
	fmt.Println(<-ended)
	// Output:
	// hello <nil>
	// hello again <nil>
	// <nil>
}
