package bindings

import (
	"errors"
	"fmt"
	"net/http"
	"os/user"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"luaserve/runtime"
)

func userdirModule() *runtime.Module {
	return &runtime.Module{
		Name: "userdir",
		Doc:  "Gives each user of the machine a site at /~user/.",
		Actions: []runtime.ActionDef{{
			Name: "userdir", New: newUserdir,
			Doc: "Maps URLs below /~user/ to a directory of that user, and takes /~user out of the path. Other URLs are left alone. " +
				`The path is relative to the user's home, or absolute; in it "*" is the name of the user and $1 to $9 are its letters. ` +
				"An absolute path without the name gets it at the end. The name must consist of letters, digits, _ and -. " +
				"Below a home, an unknown user is answered with 404; with 403 root is, like everybody with root's number, and a directory that a symbolic link leads out of the home. " +
				"A directory without / at the end is redirected, unlike in lighttpd2: relative links would break. Homes are looked up again after 30 seconds.",
			Example: `actions = { docroot "/var/www", userdir("public_html", { exclude = { "guest" } }), index "index.html", static() }`,
			Params: []runtime.Param{
				{Name: "path", Type: runtime.TString, Doc: `"public_html" is /home/lighty/public_html for the user lighty, "/usr/web" is /usr/web/lighty, "/users/$1/$1$2/*" is /users/l/li/lighty`},
				{Name: "options", Type: runtime.TPairs, Optional: true,
					Options: describeOptions(userdirOptions, &userdirAction{})}},
		}},
	}
}

// userdirAction maps the directories of users.
type userdirAction struct {
	path             string
	absolute         bool
	include, exclude []string // include is nil for everybody
	homes            homes
	within           rootsWithin
}

var userdirOptions = []option[userdirAction]{
	stringsOption("exclude", "users to leave alone", func(a *userdirAction) *[]string { return &a.exclude }),
	stringsOption("include", "leave all alone but these", func(a *userdirAction) *[]string { return &a.include }),
}

func newUserdir(b *runtime.Builder, args runtime.Args) (runtime.Action, error) {
	a := &userdirAction{path: args.Str(0), within: rootsWithin{b.Files()}}
	switch {
	case a.path == "":
		return nil, errors.New("path: the path is empty")
	case !runtime.ValidFieldValue(a.path), slices.Contains(strings.Split(a.path, "/"), ".."):
		return nil, fmt.Errorf("path: %q leads upwards or has control characters", a.path)
	}
	if a.absolute = a.path[0] == '/'; a.absolute {
		fixed, _, _ := strings.Cut(strings.ReplaceAll(a.path, "$", "*"), "*")
		if err := a.within.files.MayContain(fixed); err != nil {
			return nil, fmt.Errorf("path: %w", err)
		}
	}
	return a, readOptions(a, userdirOptions, args.Pairs(1))
}

// Run maps the URL if it is for a user.
func (a *userdirAction) Run(vr *runtime.VRequest) error {
	name, rest, ok := userOf(vr.Request.URI.Path)
	if !ok || slices.Contains(a.exclude, name) || a.include != nil && !slices.Contains(a.include, name) {
		return nil
	}
	root, status, err := a.root(name)
	if err != nil {
		return err
	}
	if status != 0 {
		deny(vr, status)
		return nil
	}
	if err := a.within.checkRoot(root); err != nil {
		return &runtime.StatusError{Status: http.StatusForbidden, Err: err}
	}
	vr.Physical.Confine(a.within.files.Root)
	vr.Physical.DocRoot, vr.Physical.Path = root+"/", root+rest
	if !strings.HasSuffix(rest, "/") && !vr.IsHandled() && vr.Physical.Stat().IsDir {
		redirectToDirectory(vr)
		return nil
	}
	if rest == "" {
		rest = "/"
	}
	vr.Request.URI.Path = rest
	return nil
}

// userOf splits /~user/path. A name is what no file system gives a meaning of its own.
func userOf(path string) (name, rest string, ok bool) {
	path, ok = strings.CutPrefix(path, "/~")
	if !ok {
		return "", "", false
	}
	end := strings.IndexByte(path, '/')
	if end < 0 {
		end = len(path)
	}
	name, rest = path[:end], path[end:]
	for i := range len(name) {
		switch c := name[i]; {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '_', c == '-':
		default:
			return "", "", false
		}
	}
	return name, rest, name != ""
}

// root returns the document root of a user, without a slash at its end, or the status
// that tells why there is none.
func (a *userdirAction) root(name string) (root string, status int, err error) {
	if a.absolute {
		root, named := expandUser(a.path, name)
		root = strings.TrimRight(root, "/")
		if !named {
			root += "/" + name
		}
		return root, 0, nil
	}
	home, err := a.homes.find(name)
	switch {
	case err != nil:
		return "", 0, fmt.Errorf("looking up the user %q: %w", name, err)
	case home.root:
		return "", http.StatusForbidden, nil
	case !filepath.IsAbs(home.dir):
		return "", http.StatusNotFound, nil
	}
	below, _ := expandUser(a.path, name)
	dir := strings.TrimRight(home.dir, "/")
	root = strings.TrimRight(dir+"/"+below, "/")
	if leadsOut(dir, root) {
		return "", http.StatusForbidden, nil
	}
	return root, 0, nil
}

// leadsOut reports whether symbolic links lead from root out of the directory home: who
// owns home must not publish what the server alone may read.
func leadsOut(home, root string) bool {
	realRoot, err := filepath.EvalSymlinks(root)
	if err != nil {
		return false // there is nothing to publish
	}
	realHome, err := filepath.EvalSymlinks(home)
	if err != nil {
		return true
	}
	rel, err := filepath.Rel(realHome, realRoot)
	return err != nil || rel == ".." || strings.HasPrefix(rel, "../")
}

// expandUser puts the name into a path; named says whether "*" asked for all of it.
func expandUser(path, name string) (expanded string, named bool) {
	var b strings.Builder
	for i := 0; i < len(path); i++ {
		switch c := path[i]; {
		case c == '*':
			b.WriteString(name)
			named = true
		case c == '$' && i+1 < len(path) && path[i+1] >= '1' && path[i+1] <= '9':
			i++
			if n := int(path[i] - '0'); n <= len(name) {
				b.WriteByte(name[n-1])
			}
		default:
			b.WriteByte(c)
		}
	}
	return b.String(), named
}

// lookupUser asks the system for a user; tests have users of their own.
var lookupUser = user.Lookup

// home is what the system knows of a user; an empty directory means an unknown one.
type home struct {
	dir   string
	root  bool // has root's number or name
	until time.Time
}

// homes remembers homes for a while: the system may ask another machine for each. The zero
// value is empty. It is safe for concurrent use.
type homes struct {
	mu    sync.Mutex
	known map[string]home
}

const (
	homeTTL  = 30 * time.Second
	maxHomes = 1024 // names come from clients
)

func (h *homes) find(name string) (home, error) {
	now := time.Now()
	h.mu.Lock()
	found, ok := h.known[name]
	h.mu.Unlock()
	if ok && now.Before(found.until) {
		return found, nil
	}
	found = home{until: now.Add(homeTTL), root: name == "root"}
	if !found.root {
		u, err := lookupUser(name)
		var unknown user.UnknownUserError
		switch {
		case errors.As(err, &unknown):
		case err != nil:
			return home{}, err
		default:
			found.dir, found.root = u.HomeDir, u.Uid == "0"
		}
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.known == nil || len(h.known) >= maxHomes {
		h.known = map[string]home{}
	}
	h.known[name] = found
	return found, nil
}
