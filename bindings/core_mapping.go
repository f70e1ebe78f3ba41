package bindings

import (
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"luaserve/runtime"
	"luaserve/runtime/luaio"
)

// mappingActions map the URL to a file.
func mappingActions() []runtime.ActionDef {
	return []runtime.ActionDef{
		{Name: "docroot", New: newDocroot,
			Doc:     "Sets the document root and maps the URL below it. Of several, the first that exists is taken, or else the last. $0 is the host, $1 its last label, $[2-] the others.",
			Example: `actions = { docroot("/var/www/vhosts/$0/htdocs", "/var/www/default"), static() }`,
			Params:  []runtime.Param{{Name: "paths", Type: runtime.TStrings, Doc: "patterns of absolute paths"}}},
		{Name: "alias", New: newAlias,
			Doc:     "Maps URLs below a prefix to another place. The prefix only matches whole path segments; the first that matches is taken.",
			Example: `actions = { docroot "/var/www", alias { ["/icons/"] = "/usr/share/icons" }, static() }`,
			Params:  []runtime.Param{{Name: "prefixes", Type: runtime.TPairs, Doc: "prefix to pattern of a path"}}},
		{Name: "index", New: newIndex,
			Doc:     "Looks for the first of these files in a directory; one that begins with / is looked up below the document root. A directory without / at the end is redirected.",
			Example: `actions = { docroot "/var/www", index("index.html", "/index.html"), static() }`,
			Params:  []runtime.Param{{Name: "files", Type: runtime.TStrings}}},
		{Name: "pathinfo", New: newPathinfo,
			Doc:     "Splits what the URL has behind an existing file off as PATH_INFO.",
			Example: `actions = { docroot "/var/www", pathinfo(), static() }`},
	}
}

func parsePatterns(texts []string) ([]*runtime.Pattern, error) {
	out := make([]*runtime.Pattern, len(texts))
	for i, t := range texts {
		p, err := runtime.ParsePattern(t)
		if err != nil {
			return nil, err
		}
		out[i] = p
	}
	return out, nil
}

func newDocroot(b *runtime.Builder, args runtime.Args) (runtime.Action, error) {
	patterns, err := parsePatterns(args.Strings(0))
	if err != nil {
		return nil, err
	}
	within := rootsWithin{b.Files()}
	for _, p := range patterns {
		if err := within.check(p); err != nil {
			return nil, err
		}
	}
	if len(patterns) == 0 {
		return nil, errors.New("expected at least one path")
	}
	last := len(patterns) - 1
	return runtime.ActionFunc(func(vr *runtime.VRequest) error {
		for i, p := range patterns {
			root, err := within.eval(vr, p)
			if err != nil {
				return err
			}
			if i == last || vr.Physical.StatOf(root).IsDir {
				return mapBelow(vr, root, vr.Request.URI.Path)
			}
		}
		return nil
	}), nil
}

// rootsWithin are the roots that a script names: those of an untrusted one lie in its directory.
type rootsWithin struct{ files luaio.Options }

// check looks at a pattern as far as it is known when the script is loaded.
func (w rootsWithin) check(p *runtime.Pattern) error {
	if text, ok := p.Text(); ok {
		return w.checkRoot(text)
	}
	return w.files.MayContain(p.Prefix())
}

func (w rootsWithin) checkRoot(root string) error {
	if w.files.Confined() && !filepath.IsAbs(root) {
		return fmt.Errorf("%q: expected an absolute path", root)
	}
	return w.files.Contains(root)
}

// eval evaluates the pattern of a root, whose $n are labels of the host. The request keeps to
// the directory of the script from then on.
func (w rootsWithin) eval(vr *runtime.VRequest, p *runtime.Pattern) (string, error) {
	root, fixed := p.Text()
	if !fixed {
		labels := runtime.HostLabels(vr.Request.URI.Host)
		if p.UsesCaptures() && !labels.Complete() {
			return "", runtime.Fail(http.StatusBadRequest, "the host %q has an empty label, so that %q would be the directory of other hosts", string(labels), p)
		}
		root = p.Eval(vr, labels)
	}
	if err := w.checkRoot(root); err != nil {
		return "", &runtime.StatusError{Status: http.StatusForbidden, Err: err}
	}
	vr.Physical.Confine(w.files.Root)
	return root, nil
}

// mapBelow sets root and path of the request. A root that was put together from what the
// client sent must not lead elsewhere.
func mapBelow(vr *runtime.VRequest, root, path string) error {
	if strings.Contains(root, "/../") || strings.HasSuffix(root, "/..") || strings.IndexByte(root, 0) >= 0 {
		return runtime.Fail(http.StatusBadRequest, "the document root %q leads upwards", root)
	}
	vr.Physical.Map(root, path)
	return nil
}

func newAlias(b *runtime.Builder, args runtime.Args) (runtime.Action, error) {
	a := aliases{targets: map[string]aliasTarget{}, within: rootsWithin{b.Files()}}
	for order, p := range args.Pairs(0) {
		prefix, ok1 := p.Key.Str()
		target, ok2 := p.Value.Str()
		if !ok1 || !ok2 {
			return nil, fmt.Errorf("expected a prefix and a path, got %s and %s", p.Key.Kind(), p.Value.Kind())
		}
		pattern, err := runtime.ParsePattern(target)
		if err == nil {
			err = a.within.check(pattern)
		}
		if err != nil {
			return nil, err
		}
		a.add(strings.TrimRight(prefix, "/"), aliasTarget{order, pattern})
	}
	return &a, nil
}

// aliases are the entries of an alias. They are looked up by each length that a prefix has,
// so that a request costs the same however many there are.
type aliases struct {
	targets map[string]aliasTarget // by prefix, without "/" at the end
	lengths []int                  // of the prefixes, ascending
	within  rootsWithin
}

type aliasTarget struct {
	order   int
	pattern *runtime.Pattern
}

// add adds an entry unless an earlier one has the same prefix.
func (a *aliases) add(prefix string, t aliasTarget) {
	if _, ok := a.targets[prefix]; ok {
		return
	}
	a.targets[prefix] = t
	if at, ok := slices.BinarySearch(a.lengths, len(prefix)); !ok {
		a.lengths = slices.Insert(a.lengths, at, len(prefix))
	}
}

// Run maps the path by the first entry of those whose prefix it has.
func (a *aliases) Run(vr *runtime.VRequest) error {
	path := vr.Request.URI.Path
	var first aliasTarget
	rest := ""
	for _, n := range a.lengths {
		if n > len(path) {
			break
		}
		if n < len(path) && path[n] != '/' {
			continue
		}
		if t, ok := a.targets[path[:n]]; ok && (first.pattern == nil || t.order < first.order) {
			first, rest = t, path[n:]
		}
	}
	if first.pattern == nil {
		return nil
	}
	root, err := a.within.eval(vr, first.pattern)
	if err != nil {
		return err
	}
	return mapBelow(vr, root, rest)
}

func newIndex(_ *runtime.Builder, args runtime.Args) (runtime.Action, error) {
	files := args.Strings(0)
	if len(files) == 0 {
		return nil, errors.New("expected at least one file name")
	}
	for _, f := range files {
		if f == "" || strings.Contains(f, "..") {
			return nil, fmt.Errorf("%q is no file name", f)
		}
	}
	return runtime.ActionFunc(func(vr *runtime.VRequest) error {
		if vr.IsHandled() {
			return nil
		}
		if vr.Physical.Path == "" {
			return errors.New("there is no document root: put docroot or alias before index")
		}
		return findIndex(vr, files)
	}), nil
}

func findIndex(vr *runtime.VRequest, files []string) error {
	phys := &vr.Physical
	stat := phys.Stat()
	if stat.IsFile {
		return nil
	}
	for _, name := range files {
		if name[0] == '/' {
			if phys.StatOf(phys.DocRoot + name).IsFile {
				phys.Path = phys.DocRoot + name
				vr.Request.URI.Path = name
				return nil
			}
			continue
		}
		if !stat.IsDir {
			continue
		}
		if !strings.HasSuffix(vr.Request.URI.Path, "/") {
			redirectToDirectory(vr)
			return nil
		}
		if path := strings.TrimRight(phys.Path, "/") + "/" + name; phys.StatOf(path).IsFile {
			phys.Path = path
			vr.Request.URI.Path += name
			return nil
		}
	}
	return nil
}

// redirectToDirectory sends the client to the URL that it asked for, with a slash, so that
// relative links of the directory's page work. The path of the request may be another by
// now: userdir takes the user out of it.
func redirectToDirectory(vr *runtime.VRequest) {
	uri := &vr.Request.URI
	path, query, found := strings.Cut(uri.RawPath, "?")
	if !strings.HasPrefix(path, "/") || strings.HasSuffix(path, "/") {
		path = runtime.EncodePath(uri.Path) // a script has changed it
	}
	if found {
		query = "?" + query
	}
	sendRedirect(vr, http.StatusMovedPermanently, uri.Scheme+"://"+uri.Authority+path+"/"+query)
}

func newPathinfo(_ *runtime.Builder, _ runtime.Args) (runtime.Action, error) {
	return runtime.ActionFunc(func(vr *runtime.VRequest) error {
		if !vr.IsHandled() && vr.Physical.Path != "" {
			splitPathInfo(vr)
		}
		return nil
	}), nil
}

// splitPathInfo makes PATH_INFO of what the path has behind a file. Only a path that runs
// through a file has one; a missing one stays whole.
func splitPathInfo(vr *runtime.VRequest) {
	phys := &vr.Physical
	if !errors.Is(phys.StatOf(phys.Path).Err, syscall.ENOTDIR) {
		return
	}
	for path := phys.Path; len(path) > len(phys.DocRoot); path = filepath.Dir(path) {
		if !phys.StatOf(path).IsFile {
			continue
		}
		info := phys.Path[len(path):]
		phys.Path, phys.PathInfo = path, info
		vr.Request.URI.Path = strings.TrimSuffix(vr.Request.URI.Path, info)
		return
	}
}
