package lint

import (
	"slices"
	"strings"

	"luaserve/runtime"
)

// The order of actions: what comes too late, and what undoes what.

var (
	ruleNeverActs = &Rule{Code: "L001", Name: "answered-already", Severity: Warning,
		Summary: "An action comes behind one that has always answered the request.",
		Why: "The first action that answers a request keeps it. The list goes on behind it, so that the response can be changed, " +
			"but actions that answer themselves, such as respond, static or a backend, do nothing any more.",
		Silent: "Something between the two may take the answer back (accel.redirect), or the first one does not always answer (static, redirect with an expression, a Lua function).",
		Wrong:  `actions = { respond "maintenance", header.add("X-A", "1"), respond "hello" }`,
		Right:  `actions = { header.add("X-A", "1"), respond "hello" }`}
	ruleLateGuard = &Rule{Code: "L002", Name: "guard-behind-answer", Severity: Error,
		Summary: "An action that keeps clients out comes behind the answer.",
		Why: "auth, access and limit only look at requests that nobody has answered. Behind the action that answers they let everybody pass: " +
			"the page is already on its way. Put them first.",
		Silent: "What stands before does not always answer; then the guard is there for the rest.",
		Wrong:  `actions = { respond "secret", access.check { allow = { "127.0.0.1" } } }`,
		Right:  `actions = { access.check { allow = { "127.0.0.1" } }, respond "secret" }`}
	ruleMappingUndone = &Rule{Code: "L003", Name: "docroot-after-alias", Severity: Warning,
		Summary: "A docroot undoes the alias or the docroot before it.",
		Why:     "docroot maps every URL, also those that an alias has mapped already. Of several mappings the last one counts, so the alias must come behind the docroot.",
		Silent:  "Something between the two uses the first mapping: a condition on physical.*, a pattern, static, a Lua function.",
		Wrong:   `actions = { alias { ["/icons/"] = "/" }, docroot "/", static(), mime_types "default" }`,
		Right:   `actions = { docroot "/", alias { ["/icons/"] = "/" }, static(), mime_types "default" }`}
	ruleShadowed = &Rule{Code: "L004", Name: "shadowed-rule", Severity: Warning,
		Summary: "Every request that a rule is for has been answered by an earlier rule.",
		Why:     `when(request.path:prefix "/a", …) takes "/a/b" too. A rule for "/a/b" behind it finds its requests answered, and its own answer is never given. Put the narrower rule first, or into the else of the other.`,
		Silent:  "The earlier rule does not always answer, or something between them changes the variable.",
		Wrong: `actions = {
  when(request.path:prefix "/a", { respond "wide" }),
  when(request.path:prefix "/a/b", { respond "narrow" }),
}`,
		Right: `actions = {
  when(request.path:prefix "/a/b", { respond "narrow" }),
  when(request.path:prefix "/a", { respond "wide" }),
}`}
	ruleUnusedMapping = &Rule{Code: "L005", Name: "nothing-serves", Severity: Warning,
		Summary: "A docroot or an alias maps the URL to a file, and nothing behind it serves files.",
		Why:     "docroot only says where files are. Sending them is the work of static(), or of a backend; without one, requests end with 404.",
		Silent:  "There is a Lua function or an unknown action behind it, or anything that looks at the file.",
		Wrong:   `actions = { docroot "/", header.add("X-A", "1") }`,
		Right:   `actions = { docroot "/", header.add("X-A", "1"), static(), mime_types "default" }`}
	ruleUnmapped = &Rule{Code: "L006", Name: "no-docroot", Severity: Warning,
		Summary: "An action needs a file, and nothing before it maps the URL to one.",
		Why:     "static, index, dirlist and flv work with the file that docroot, alias or userdir have chosen. Without one static does nothing, and index fails.",
		Silent:  "A Lua function or an unknown action before it may have set the path.",
		Wrong:   `actions = { static(), respond(404) }`,
		Right:   `actions = { docroot "/", static(), respond(404), mime_types "default" }`}
	ruleLateRewrite = &Rule{Code: "L007", Name: "rewrite-behind-docroot", Severity: Warning,
		Summary: "A rewrite comes behind the docroot, and the file is still that of the old path.",
		Why:     "docroot maps the path to a file when it runs. A later rewrite changes the path and not the file; put it first, or map again behind it.",
		Silent:  "Something behind it uses the path: a backend, a condition, a pattern, a Lua function.",
		Wrong:   `actions = { docroot "/", rewrite("^/old/(.*)", "/new/$1"), static(), mime_types "default" }`,
		Right:   `actions = { rewrite("^/old/(.*)", "/new/$1"), docroot "/", static(), mime_types "default" }`}
	ruleNoTypes = &Rule{Code: "L008", Name: "no-mime-types", Severity: Warning,
		Summary: "Files are sent and no MIME types are set.",
		Why:     "Without mime_types each file is application/octet-stream, as in lighttpd2: browsers save pages instead of showing them.",
		Silent:  "mime_types is set anywhere, or a Lua function may set the Content-Type.",
		Wrong:   `actions = { docroot "/", static() }`,
		Right: `setup.mime_types "default"
actions = { docroot "/", static() }`}
	ruleNoResponseYet = &Rule{Code: "L009", Name: "no-response-yet", Severity: Error,
		Summary: "A condition looks at the response before anything has answered.",
		Why:     "response.status and response.header exist behind the action that answers. Before it, the condition is an error and the request ends with 500.",
		Silent:  "Something before it may have answered.",
		Wrong:   `actions = { when(response.status:eq(404), { header.add("X-A", "1") }), respond "hello" }`,
		Right:   `actions = { respond "hello", when(response.status:eq(404), { header.add("X-A", "1") }) }`}

	orderRules = []*Rule{ruleNeverActs, ruleLateGuard, ruleMappingUndone, ruleShadowed, ruleUnusedMapping, ruleUnmapped, ruleLateRewrite, ruleNoTypes, ruleNoResponseYet}
)

// checkPipeline checks what requests run through.
func (c *checker) checkPipeline() {
	w := &walk{c: c, steps: maxSteps, options: map[string]bool{}, places: map[place][]*runtime.Node{}, visits: map[*runtime.Node]int{}, tracks: map[*runtime.Node]*track{}}
	for _, m := range c.prog.Modules() {
		for _, o := range m.Options {
			w.options[o.Name] = true
		}
	}
	for _, s := range c.prog.Setups() {
		w.mime = w.mime || s.Name == "mime_types"
	}
	w.run()
}

// stepLeaf runs an action that runs no others.
func (w *walk) stepLeaf(t runtime.Tree, s state) state {
	e, known := w.effectOf(t)
	if !known {
		use(s.mapped)
		use(s.rewritten)
		s.maybe, s.mayMap, s.opaque = true, true, true
		s = s.changed(changesAll)
		if t.Node.Name == "accel.redirect" {
			s.answered = nil
		}
		w.mime = w.mime || t.Node.Name == "function"
		return s
	}
	w.mime = w.mime || t.Node.Name == "mime_types"
	if s.answered != nil && e.idle {
		w.reportLate(t, e, *s.answered)
		return s
	}
	w.look(t, s)
	w.checkMapping(t, e, s)
	s = s.changed(e.changes)
	if e.maps {
		s = w.remap(t, s)
	}
	if strings.HasPrefix(t.Node.Name, "rewrite") && (len(s.mapped) > 0) {
		s.rewritten = append(slices.Clip(s.rewritten), w.trackOf(t))
	}
	if e.answers && s.answered == nil {
		s.answered = &answer{by: t}
	}
	s.maybe = s.maybe || e.answers || e.may
	return s
}

// reportLate reports an action that finds the request answered.
func (w *walk) reportLate(t runtime.Tree, e effect, by answer) {
	rule := ruleNeverActs
	switch {
	case e.guard && t.Node.Name != "auth.deny" && t.Node.Name != "access.deny":
		rule = ruleLateGuard
	case by.when != nil:
		rule = ruleShadowed
	}
	w.suspect(t, rule, func(number int) {
		cause := by.by.Node
		switch rule {
		case ruleLateGuard:
			w.c.report(rule, t.Node.Pos, t.Node.Name, number, "put "+t.Node.Name+" before it",
				"%s lets everybody pass: %s has answered the request before, at %s", t.Node.Name, cause.Name, cause.Pos)
		case ruleShadowed:
			w.c.report(rule, t.Node.Pos, t.Node.Name, number, "put the narrower rule first, or into the else of the other",
				"%s never acts: the requests that come here are answered by %s at %s, because of %s", t.Node.Name, cause.Name, cause.Pos, sign(by.when))
		default:
			w.c.report(rule, t.Node.Pos, t.Node.Name, number, "the first action that answers keeps the request: put a when around one of them, or remove one",
				"%s never acts: %s has answered the request before, at %s", t.Node.Name, cause.Name, cause.Pos)
		}
	})
}

// sign prints a condition that holds or does not.
func sign(f *fact) string {
	if f.is {
		return f.cond.String()
	}
	return "not " + f.cond.String()
}

// look notes that an action looks at variables.
func (w *walk) look(t runtime.Tree, s state) {
	if mentions(t, "%{phys") || t.Condition() != nil && touches(t.Condition(), changesFile) {
		use(s.mapped)
	}
	if mentions(t, "%{req") || t.Condition() != nil && touches(t.Condition(), changesPath) {
		use(s.rewritten)
	}
}

// checkMapping checks actions that work with the file.
func (w *walk) checkMapping(t runtime.Tree, e effect, s state) {
	if e.reads || e.sees {
		use(s.mapped)
	}
	switch name := t.Node.Name; {
	case e.sees || strings.HasPrefix(name, "rewrite") || name == "index" || name == "dirlist" || name == "pathinfo":
		use(s.rewritten)
	case e.reads:
		for _, r := range s.rewritten {
			r.ignored = &t
		}
	}
	if e.reads && !s.mayMap {
		w.suspect(t, ruleUnmapped, func(number int) {
			w.c.report(ruleUnmapped, t.Node.Pos, t.Node.Name, number, "put docroot before it", "%s has no file to work with: no docroot or alias comes before it", t.Node.Name)
		})
	}
	if (t.Node.Name == "static" || t.Node.Name == "static_no_fail") && w.static == nil && s.mayMap {
		w.static = &t
	}
}

// remap follows a docroot, an alias or a userdir.
func (w *walk) remap(t runtime.Tree, s state) state {
	use(s.rewritten)
	s.rewritten, s.mayMap = nil, true
	own := w.trackOf(t)
	own.used = own.used || s.answered != nil // what comes behind it is told already
	if t.Node.Name != "docroot" {
		s.mapped = union(s.mapped, []*track{own})
		return s
	}
	for _, m := range s.mapped {
		if m.undone == nil {
			m.undone = &t
		}
	}
	s.mapped = []*track{own}
	return s
}

// reportTracks reports mappings and rewrites that nothing has used anywhere.
func (w *walk) reportTracks() {
	for _, tr := range w.order {
		if tr.used || w.anyUsed(tr.tree.Node) {
			continue
		}
		switch n := tr.tree.Node; {
		case tr.ignored != nil:
			w.c.report(ruleLateRewrite, n.Pos, n.Name, w.number(n), "put "+n.Name+" before docroot",
				"%s has no effect: %s at %s sends the file that the old path was mapped to", n.Name, tr.ignored.Node.Name, tr.ignored.Node.Pos)
		case strings.HasPrefix(n.Name, "rewrite"):
		case tr.undone != nil:
			last := tr.undone.Node
			w.c.report(ruleMappingUndone, last.Pos, last.Name, w.number(last), "put "+n.Name+" behind it",
				"%s undoes the %s at %s: it maps every URL again", last.Name, n.Name, n.Pos)
		default:
			w.c.report(ruleUnusedMapping, n.Pos, n.Name, w.number(n), "put static() behind it", "nothing behind this %s serves files", n.Name)
		}
	}
	if w.static != nil && !w.mime {
		n := w.static.Node
		w.c.report(ruleNoTypes, n.Pos, n.Name, w.number(n), `write setup.mime_types "default"`, "%s sends every file as application/octet-stream: no mime_types are set", n.Name)
	}
}

// number is that of an action among those of its line.
func (w *walk) number(n *runtime.Node) int {
	if !w.isOwn(n) {
		return 0
	}
	return slices.Index(w.places[place{n.Name, n.Pos}], n)
}

// anyUsed reports whether another action that was made at the same place was used.
func (w *walk) anyUsed(n *runtime.Node) bool {
	if w.isOwn(n) {
		return false
	}
	return slices.ContainsFunc(w.places[place{n.Name, n.Pos}], func(other *runtime.Node) bool {
		tr := w.tracks[other]
		return tr != nil && tr.used
	})
}
