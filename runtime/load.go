package runtime

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	lua "github.com/yuin/gopher-lua"
	"github.com/yuin/gopher-lua/parse"

	"luaserve/runtime/luaio"
	"luaserve/runtime/luatext"
)

// load is the loading of one script with everything that it pulls in. It ends before the
// first request.
type load struct {
	prog          *Program
	st            *state
	mayUseSetups  bool
	pluginActions map[string]*lua.LFunction
	pluginSetups  map[string]*lua.LFunction
	plugins       map[string]bool    // files, each only once
	sources       map[string]bool    // the scripts themselves, not what they require
	unused        map[*Condition]Pos // conditions that nothing has used yet
	ignored       []Warning          // keys of tables
	regexes       map[string]*Regex  // by their expression, so that equal ones are one
	objects       map[named]*lua.LUserData
	chains        []*Node // whens whose else is a when
	localActions  bool
	complaint     string // what a plugin logged as an error during the running call
}

// Complain remembers what a plugin said about its arguments, for the error message.
func (c *Call) Complain(msg string) {
	if l := c.st.builder.load; l != nil {
		l.complaint = msg
	}
}

func (l *load) pluginComplaint() string {
	if l.complaint == "" {
		return ""
	}
	return ": " + l.complaint
}

// newLoad prepares a fresh heap for loading.
func newLoad(p *Program, mayUseSetups bool, sandbox Sandbox) *load {
	h := &heap{prog: p, sandbox: sandbox, isFile: !mayUseSetups}
	l := &load{
		prog: p, mayUseSetups: mayUseSetups,
		pluginActions: map[string]*lua.LFunction{}, pluginSetups: map[string]*lua.LFunction{}, plugins: map[string]bool{},
		sources: map[string]bool{}, unused: map[*Condition]Pos{}, regexes: map[string]*Regex{}, objects: map[named]*lua.LUserData{},
	}
	l.st = newState(h)
	l.st.builder = &Builder{prog: p, st: l.st, load: l}
	return l
}

// run runs a file, which is among files, with globals of its own and returns them.
func (l *load) run(files luaio.Options, file string, args ...lua.LValue) (*lua.LTable, error) {
	src, name, err := l.prog.readScript(files, file)
	if err != nil {
		return nil, err
	}
	proto, err := l.st.compile(src, name)
	if err != nil {
		return nil, err
	}
	l.sources[name] = true
	st := l.st
	if st.L.Context() == nil { // a plugin is loaded within its script
		l.watch()
		defer l.unwatch()
	}
	globals := st.L.NewTable()
	meta := st.L.NewTable()
	meta.RawSetString("__index", st.L.NewFunction(st.bareName))
	globals.Metatable = meta
	outerIndex, outerNew := st.envMeta.RawGetString("__index"), st.envMeta.RawGetString("__newindex")
	st.useGlobals(globals)
	defer func() {
		st.view.globals = nil
		st.envMeta.RawSetString("__index", outerIndex)
		st.envMeta.RawSetString("__newindex", outerNew)
	}()
	for _, local := range proto.DbgLocals {
		l.localActions = l.localActions || local.Name == "actions"
	}
	fn := st.L.NewFunctionFromProto(proto)
	fn.Env = st.env
	st.L.Push(fn)
	st.L.Push(lua.LString(name))
	if len(args) == 0 {
		args = []lua.LValue{lua.LNil}
	}
	for _, a := range args {
		st.L.Push(a)
	}
	if err := st.L.PCall(1+len(args), 0, nil); err != nil {
		return nil, l.loadError(err, proto, globals)
	}
	if cause := st.dog.expired(); cause != nil { // a pcall was the last thing that it did
		return nil, &LoadError{Pos: Pos{File: name}, Msg: cause.Error()}
	}
	return globals, nil
}

// watch begins to watch the time and the memory that the loading takes, until unwatch.
func (l *load) watch() {
	limits := l.prog.loadLimits
	if !l.mayUseSetups { // a request waits for a handler file
		limits = l.prog.luaLimits
	}
	l.st.dog.setLimits(limits)
	l.st.dog.start(0, true, nil)
	l.st.L.SetContext(l.st.dog.ctx)
}

func (l *load) unwatch() {
	l.st.dog.stop()
	l.st.dog.setLimits(l.prog.luaLimits)
	l.st.L.RemoveContext()
}

// compile compiles a script, a large one in pieces.
func (st *state) compile(src []byte, name string) (*lua.FunctionProto, error) {
	concat := st.heap.prog.concat
	if text := skipShebang(src); len(text) >= largeScript {
		script := &cutScript{name: name, concat: concat, sizes: &usualPieces, plain: newPlainRun(st)}
		if proto, ok := compileInPieces(text, script); ok {
			return proto, nil
		}
	}
	return compile(src, name, concat)
}

// compile compiles a script as a whole; concat is what joins its strings.
func compile(src []byte, name string, concat *lua.LFunction) (*lua.FunctionProto, error) {
	text := skipShebang(src)
	chunk, err := parse.Parse(bytes.NewReader(text), name)
	if err != nil {
		return nil, syntaxError(err, src, name)
	}
	proto, err := compileChunk(chunk, name, concat)
	if err == nil {
		err = repairTables(proto)
	}
	if err != nil {
		return nil, &LoadError{Pos: Pos{File: name}, Msg: err.Error(), cause: err}
	}
	return proto, nil
}

// skipShebang blanks a first line that begins with "#", as Lua's own loader does.
func skipShebang(src []byte) []byte {
	if len(src) > 0 && src[0] == '#' {
		if i := bytes.IndexByte(src, '\n'); i >= 0 {
			return src[i:]
		}
		return nil
	}
	return src
}

func syntaxError(err error, src []byte, name string) *LoadError {
	var pe *parse.Error
	if !errors.As(err, &pe) {
		return &LoadError{Pos: Pos{File: name}, Msg: strings.TrimSpace(err.Error()), cause: err}
	}
	msg := "syntax error"
	if m := strings.TrimSpace(pe.Message); m != "" && m != "syntax error" {
		msg += ": " + m
	}
	unclosed := ""
	if opened, closer, ok := luatext.New(src).Unclosed(); ok {
		unclosed = fmt.Sprintf("; the %q of line %d has no %q", opened.Text, opened.Line, closer)
	}
	if pe.Pos.Line == parse.EOF {
		last := 1 + bytes.Count(bytes.TrimRight(src, " \t\r\n"), []byte("\n"))
		return &LoadError{Pos: Pos{name, last}, Msg: msg + " at the end of the file" + unclosed, cause: err}
	}
	return &LoadError{Pos: Pos{name, pe.Pos.Line}, Msg: fmt.Sprintf("%s near %q", msg, pe.Token) + unclosed, cause: err}
}

// luaPlace finds the place at the beginning of Lua's messages.
var luaPlace = regexp.MustCompile(`^(.*?):(\d+): ?(?s:(.*))$`)

// loadError turns what ended a script into a LoadError.
func (l *load) loadError(err error, proto *lua.FunctionProto, globals *lua.LTable) error {
	var api *lua.ApiError
	if !errors.As(err, &api) {
		return err
	}
	trace := api.StackTrace
	if ud, ok := api.Object.(*lua.LUserData); ok {
		if ce, ok := ud.Value.(*configError); ok {
			le := &LoadError{Pos: ce.pos, Msg: ce.Error(), Traceback: trace, cause: ce.err}
			var inner *LoadError
			if errors.As(ce.err, &inner) {
				return inner
			}
			return le
		}
	}
	msg := api.Object.String()
	if s, ok := api.Object.(lua.LString); ok {
		msg = string(s)
	}
	if cause := l.st.dog.expired(); cause != nil {
		msg = withCause(msg, cause)
	}
	le := &LoadError{Msg: msg, Traceback: trace, cause: err}
	if m := luaPlace.FindStringSubmatch(msg); m != nil {
		line, _ := strconv.Atoi(m[2])
		le.Pos, le.Msg = Pos{m[1], line}, m[3]
	}
	return le
}

// pipeline returns the action that a script left in its global "actions".
func (l *load) pipeline(globals *lua.LTable, name string) (*Node, error) {
	l.watch() // tables that hold each other twice are an endless list
	v, err := l.st.builder.toValue(globals.RawGetString("actions"))
	l.unwatch()
	if err != nil {
		return nil, &LoadError{Pos: Pos{File: name}, Msg: "actions: " + err.Error(), cause: err}
	}
	node, ok := v.Action()
	if !ok {
		msg := "the script defines no actions: it must set the global actions to an action, a list of actions or a function" + l.actionsHint(globals)
		if v.kind != KindNone {
			msg = fmt.Sprintf("the global actions must be an action, a list of actions or a function, it is %s", v.kind)
		}
		return nil, &LoadError{Pos: Pos{File: name}, Msg: msg}
	}
	l.indexChains()
	return node, nil
}

// actionsHint looks for the usual reasons why a script has no actions.
func (l *load) actionsHint(globals *lua.LTable) string {
	if globals.RawGetString("action") != lua.LNil {
		return `; the global "action" was set: did you mean "actions"?`
	}
	if l.localActions {
		return `; "actions" is a local variable: remove "local"`
	}
	return ""
}

// warnings are what the script should know although it loads.
func (l *load) warnings() []Warning {
	out := l.ignored
	for c, pos := range l.unused {
		out = append(out, Warning{pos, fmt.Sprintf(`the condition %s is not used; "and" and "or" do not combine conditions: write all{…} or any{…}`, c), UnusedCondition})
	}
	slices.SortStableFunc(out, func(a, b Warning) int { return a.Pos.Line - b.Pos.Line })
	return out
}

// plugin loads a plugin file and registers its actions and setups.
func (l *load) plugin(b *Builder, file string, args Value) error {
	path := l.prog.resolve(file, b.pos.File)
	if l.plugins[path] {
		return fmt.Errorf("the plugin %q is already loaded", file)
	}
	l.plugins[path] = true
	globals, err := l.run(b.Files(), path, l.st.toLua(args))
	if err != nil {
		return err
	}
	for _, kind := range []struct {
		global string
		into   map[string]*lua.LFunction
	}{{"actions", l.pluginActions}, {"setups", l.pluginSetups}} {
		if err := l.register(file, kind.global, globals.RawGetString(kind.global), kind.into); err != nil {
			return err
		}
	}
	return nil
}

func (l *load) register(file, global string, table lua.LValue, into map[string]*lua.LFunction) error {
	if table == lua.LNil {
		return nil
	}
	t, ok := table.(*lua.LTable)
	if !ok {
		return fmt.Errorf("the plugin %q must set %s to a table of functions, not to a %s", file, global, table.Type())
	}
	var first error
	t.ForEach(func(k, v lua.LValue) {
		fn, isFunc := v.(*lua.LFunction)
		name, isName := k.(lua.LString)
		switch {
		case first != nil:
		case !isFunc || !isName:
			first = fmt.Errorf("the plugin %q: %s[%q] must be a function, it is a %s", file, global, k.String(), v.Type())
		case into[string(name)] != nil || (global == "actions" && l.prog.registry.actions[string(name)] != nil) ||
			(global == "setups" && l.prog.registry.setups[string(name)] != nil):
			first = fmt.Errorf("the plugin %q defines %q, which exists already", file, string(name))
		default:
			into[string(name)] = fn
		}
	})
	return first
}

// resolve finds a script that another one names: next to that one, from the working
// directory, or among the embedded ones ("core.lua").
func (p *Program) resolve(file, from string) string {
	if filepath.IsAbs(file) {
		return file
	}
	if from != "" && !strings.HasPrefix(from, embeddedPrefix) {
		if beside := filepath.Join(filepath.Dir(from), file); p.exists(beside) {
			return beside
		}
	}
	if p.exists(file) {
		return file
	}
	if p.scripts != nil {
		if _, err := fs.Stat(p.scripts, file); err == nil {
			return embeddedPrefix + file
		}
	}
	return file
}

// embeddedPrefix marks the names of scripts that are part of the program.
const embeddedPrefix = "luaserve:"

// exists reports whether there is a script of this name.
func (p *Program) exists(file string) bool {
	_, ok := p.unsaved[file]
	return ok || exists(file)
}

func exists(file string) bool {
	_, err := os.Stat(file)
	return err == nil
}

// readScript reads a file, or an embedded one, and returns the name for messages.
func (p *Program) readScript(files luaio.Options, file string) (src []byte, name string, err error) {
	if embedded, ok := strings.CutPrefix(file, embeddedPrefix); ok {
		src, err = fs.ReadFile(p.scripts, embedded)
		return src, file, err
	}
	p.filesMu.Lock()
	if !slices.Contains(p.files, file) {
		p.files = append(p.files, file)
	}
	p.filesMu.Unlock()
	if src, ok := p.unsaved[file]; ok {
		return src, file, nil
	}
	if files.Confined() {
		src, err = readRegular(files, file, maxChunk)
	} else {
		src, err = os.ReadFile(file)
	}
	if err != nil {
		var pe *fs.PathError
		if errors.As(err, &pe) {
			err = pe.Err
		}
		return nil, file, fmt.Errorf("cannot read the script %q: %w", file, err)
	}
	return src, file, nil
}

// named is where a name was found: header in the globals, add behind header.
type named struct {
	kind     accessKind
	of, name string
}

// once returns the object that stands for a name, made the first time: a large script
// names request.path a hundred thousand times.
func (l *load) once(n named, make func() *lua.LUserData) *lua.LUserData {
	if l == nil {
		return make()
	}
	ud := l.objects[n]
	if ud == nil {
		ud = make()
		l.objects[n] = ud
	}
	return ud
}
