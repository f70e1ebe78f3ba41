// Command embed serves a script from a Go program of one's own.
package main

import (
	"log"
	"net/http"
	"os"

	"luaserve/bindings"
	"luaserve/runtime"
	"luaserve/scripts"
)

func main() {
	site, err := runtime.Load(os.Args[1], runtime.Config{Modules: bindings.Modules(), Scripts: scripts.FS})
	if err != nil {
		log.Fatal(err) // site.lua:12: unknown action "redirct"; did you mean "redirect"?
	}
	defer site.Close()
	log.Fatal(http.ListenAndServe("127.0.0.1:8080", site)) // it is an http.Handler
}
