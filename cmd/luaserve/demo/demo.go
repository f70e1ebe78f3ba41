// Package demo holds the site that luaserve demo serves: a script with its files, and the
// application that it talks to over FastCGI.
package demo

import (
	"embed"
	"io/fs"
	"os"
)

const (
	// Script is the name of the site's script below the directory of [Extract].
	Script = "site.lua"
	// Socket is where the script expects the application, below the same directory.
	Socket = "app.sock"
)

//go:embed site
var files embed.FS

// Extract writes the site below dir.
func Extract(dir string) error {
	site, err := fs.Sub(files, "site")
	if err != nil {
		return err
	}
	return os.CopyFS(dir, site)
}
