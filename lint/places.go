package lint

import (
	"context"
	"errors"
	"io/fs"
	"net"
	"path/filepath"
	"strings"
	"sync"

	"luaserve/runtime"
)

// Places: folders, files and backends that a script names.

var (
	ruleNoFolder = &Rule{Code: "L070", Name: "missing-folder", Severity: Warning,
		Summary: "A docroot or the target of an alias does not exist.",
		Why:     "Every request for it is answered with 404. A relative path is seen from where the server was started.",
		Silent:  "The path is made from the request, or another one of the docroot exists.",
		Wrong:   `actions = { docroot "/does/not/exist", static(), mime_types "default" }`,
		Right:   `actions = { docroot "/", static(), mime_types "default" }`}
	ruleBadHandler = &Rule{Code: "L071", Name: "broken-handler-file", Severity: Error,
		Summary: "The file of a lua.handler is not there or cannot be loaded.",
		Why:     "It is loaded when the first request needs it. That request, and all others, end with 500.",
		Silent:  "",
		Wrong:   `actions = lua.handler "does-not-exist.lua"`,
		Right:   `actions = respond "hello"`}
	ruleSilentBackend = &Rule{Code: "L072", Name: "silent-backend", Severity: Error,
		Summary: "Nobody listens at the address of a backend.",
		Why:     "Requests for it are answered with 503. Start the application, or correct the address.",
		Silent:  "check is called without --connect: it does not touch the network then.",
		Wrong:   `actions = fastcgi "unix:/does/not/exist.sock"`,
		Right:   `actions = respond "hello"`}

	placeRules = []*Rule{ruleNoFolder, ruleBadHandler, ruleSilentBackend}
)

// survey goes through all actions once: it loads handler files, and notes where the
// functions of the pipeline begin.
func (c *checker) survey() {
	c.handlers = map[string][]int{}
	seen := map[*runtime.Node]bool{}
	lines := map[runtime.Pos]bool{}
	var visit func(t runtime.Tree)
	visit = func(t runtime.Tree) {
		if seen[t.Node] {
			return
		}
		seen[t.Node] = true
		c.all = append(c.all, t)
		if file, err := t.HandlerFile(); err != nil {
			c.brokenFiles = append(c.brokenFiles, brokenFile{t, file, err})
		}
		if t.Node.Name == "function" && !lines[t.Node.Pos] {
			lines[t.Node.Pos] = true
			c.handlers[t.Node.Pos.File] = append(c.handlers[t.Node.Pos.File], t.Node.Pos.Line)
		}
		for _, child := range t.Children() {
			visit(child)
		}
	}
	visit(c.prog.Pipeline())
}

// brokenFile is a handler file that cannot be loaded.
type brokenFile struct {
	tree runtime.Tree
	file string
	err  error
}

// checkPlaces checks what is outside of the script.
func (c *checker) checkPlaces() {
	for _, b := range c.brokenFiles {
		text := b.err.Error()
		if !strings.Contains(text, b.file) {
			text = b.file + ": " + text
		}
		c.report(ruleBadHandler, b.tree.Node.Pos, b.tree.Node.Name, 0, "", "%s", text)
	}
	var asked []backendOf
	for _, t := range c.all {
		args := t.Args()
		if len(args) == 0 {
			continue
		}
		switch t.Node.Name {
		case "docroot":
			c.checkFolders(t.Node, args[0].Value)
		case "alias":
			pairs, _ := args[0].Value.Pairs()
			for _, p := range pairs {
				c.checkFolders(t.Node, p.Value)
			}
		case "fastcgi", "scgi", "proxy":
			if a := addressOf(args[0].Value); a != "" {
				asked = append(asked, backendOf{t.Node, a})
			}
		}
	}
	if c.options.Connect != nil {
		c.checkBackends(asked)
	}
}

// checkFolders reports a path, or the last of several, when none exists.
func (c *checker) checkFolders(n *runtime.Node, v runtime.Value) {
	paths, _ := v.Strings()
	for _, p := range paths {
		if strings.ContainsAny(p, "$%") {
			return // made from the request
		}
		if abs, err := filepath.Abs(p); err == nil {
			if _, err := c.options.Stat(abs); !errors.Is(err, fs.ErrNotExist) {
				return
			}
		}
	}
	if len(paths) > 0 {
		last := paths[len(paths)-1]
		c.report(ruleNoFolder, c.lineOfText(n, last), last, 0, "", "%q does not exist", last)
	}
}

// backendOf is an address with the action that names it.
type backendOf struct {
	node    *runtime.Node
	address string
}

// addressOf reads the argument of a backend: an address, or a table that has one.
func addressOf(v runtime.Value) string {
	if s, ok := v.Str(); ok {
		return s
	}
	pairs, _ := v.Pairs()
	for _, p := range pairs {
		if key, _ := p.Key.Str(); key == "address" || key == "socket" {
			s, _ := p.Value.Str()
			return s
		}
	}
	return ""
}

// checkBackends tries to connect to each address once, to all of them at the same time.
func (c *checker) checkBackends(asked []backendOf) {
	errs := map[string]error{}
	var mu sync.Mutex
	var group sync.WaitGroup
	for _, b := range asked {
		if _, known := errs[b.address]; known {
			continue
		}
		errs[b.address] = nil
		group.Go(func() {
			err := c.connect(b.address)
			mu.Lock()
			defer mu.Unlock()
			errs[b.address] = err
		})
	}
	group.Wait()
	for _, b := range asked {
		if err := errs[b.address]; err != nil {
			c.report(ruleSilentBackend, c.lineOfText(b.node, b.address), b.address, 0, "", "the backend %s does not answer: %v", b.address, err)
		}
	}
}

func (c *checker) connect(address string) error {
	ctx, cancel := context.WithTimeout(context.Background(), c.options.Timeout)
	defer cancel()
	network := "tcp"
	if path, ok := strings.CutPrefix(address, "unix:"); ok {
		network, address = "unix", path
	}
	conn, err := c.options.Connect(ctx, network, address)
	if err == nil {
		return conn.Close()
	}
	if oe, ok := errors.AsType[*net.OpError](err); ok {
		return oe.Err
	}
	return err
}
