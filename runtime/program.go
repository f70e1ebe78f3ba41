package runtime

import (
	"context"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	goruntime "runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	lua "github.com/yuin/gopher-lua"

	"luaserve/runtime/luaio"
	"luaserve/runtime/luastring"
)

// Config says how [Load] makes a program of a script.
type Config struct {
	// Modules are the setups, actions, options and Lua objects that scripts can use.
	Modules []*Module
	// Scripts are files that lua.plugin and lua.handler find by their bare name when there
	// is none beside the script: core.lua.
	Scripts fs.FS
	// Unsaved are texts that are read in place of the scripts of these names, which need not
	// exist: what an editor has not saved.
	Unsaved map[string][]byte
	// Log takes what scripts and the runtime have to say; nil means slog.Default().
	Log *slog.Logger
	// LuaBudget is how long a Lua call may run, not counting the time in which it waits;
	// 0 means 5 s, a negative value no limit.
	LuaBudget time.Duration
	// MaxLuaMemory bounds what one Lua call may take, in bytes: how much the heap of the
	// process grows while it runs, looked at every 20 ms. 0 means 512 MiB, or a quarter of the
	// memory limit of the process (GOMEMLIMIT) if that is less; a negative value no limit.
	// It also bounds what a Lua state keeps from call to call.
	MaxLuaMemory int64
	// LoadBudget is how long the Lua code of the script may run while it is loaded; 0 means a
	// minute, a negative value no limit. A file of lua.handler has LuaBudget.
	LoadBudget time.Duration
	// MaxLoadMemory is MaxLuaMemory for the loading of the script; 0 means 4 GiB, or three
	// quarters of the memory limit of the process.
	MaxLoadMemory int64
	// Sandbox is what the script may do; the zero value is right for one's own.
	Sandbox Sandbox
	// MaxLuaString bounds the strings that Lua's library functions make, in bytes; 0 means
	// 64 MiB. A longer one is a Lua error.
	MaxLuaString int
	// MaxBufferedBody bounds a request body of unknown length that must be buffered, in
	// bytes; 0 means 64 MiB.
	MaxBufferedBody int64
	// Host are Go values and functions that scripts see as globals of these names.
	Host map[string]HostValue
	// Values are values that modules look up with [Builder.Value].
	Values map[any]any
	// Now is the clock of expire, os.time, os.date and the like; nil means [time.Now].
	// Timeouts do not depend on it.
	Now func() time.Time
	// Overlay is a directory whose files stand in the place of those with the same path
	// below it: OVERLAY/srv/www/a for /srv/www/a. It is for tests; "" means none. What
	// scripts open by themselves (io.open, user files of auth) is not looked for there.
	Overlay string
	// Inspect keeps the arguments of all calls for tools (see [Tree.Args], [Program.Setups]).
	// Servers do without: it takes memory for each action and condition.
	Inspect bool
	// ErrorPage makes the body of an answer to a request that has failed, for those who develop
	// a site; without one it is the page of the status, which tells nothing of the script. With
	// an empty body it stays so. It is called for many requests at once, not for subrequests.
	ErrorPage func(vr *VRequest, status int, err error) (contentType, body string)
}

// Program is a loaded script: an immutable pipeline with the Lua states that its functions
// run in. It is an [http.Handler] and safe for concurrent use. Close it when no request
// uses it any more.
type Program struct {
	registry   *registry
	scripts    fs.FS
	unsaved    map[string][]byte
	log        *slog.Logger
	luaLimits  luaLimits
	loadLimits luaLimits
	sandbox    Sandbox
	maxString  int
	concat     *lua.LFunction
	maxBody    int64
	host       map[string]HostValue
	values     map[any]any
	defaults   []any
	serverTag  OptionRef
	logOption  OptionRef
	strictPost bool
	listeners  []Listener
	proxying   Proxying
	limits     Limits
	wantStates int
	root       *Node
	name       string
	heaps      []*heap
	warnings   []Warning
	shared     *Pos // the write to load-time state that forced a single Lua state
	requests   sync.Pool
	observers  observers
	stats      *statCache
	kept       keptFiles
	luaStats   atomic.Pointer[LuaStats] // nil unless somebody wants them
	keepAlive  [2]OptionRef             // timeout and requests
	background background
	now        func() time.Time
	overlay    string
	oneByOne   bool // no indexes: what tests compare the others with
	errorPage  func(vr *VRequest, status int, err error) (contentType, body string)
	outdated   atomic.Pointer[error] // see Outdate
	inspection *inspection           // nil unless somebody wants to look at the arguments

	filesMu sync.Mutex
	files   []string // the scripts that were read

	sharedMu     sync.Mutex
	sharedValues map[any]any

	closeMu sync.Mutex
	closers []func()
}

// OptionServerTag is the option whose value becomes the Server header.
const OptionServerTag = "server.tag"

// OptionLog is the option that says where the messages about a request go. Its value is a
// *slog.Logger, nil for that of the program.
const OptionLog = "log"

// OptionStrictPost is the option that demands a Content-Length of POST requests. Its value
// when the script has been loaded counts.
const OptionStrictPost = "strict.post_content_length"

// The options that say how long a connection lives; see [Reply.KeepAlive]. Their values are
// whole numbers, of seconds and of requests.
const (
	OptionKeepAliveTimeout  = "keepalive.timeout"
	OptionKeepAliveRequests = "keepalive.requests"
)

// Load runs the script in file once and returns the program that it describes. Every
// error is a *[LoadError] that names the place, or says that the file cannot be read.
func Load(file string, cfg Config) (*Program, error) {
	p, err := newProgram(cfg)
	if err != nil {
		return nil, err
	}
	p.name = file
	if err := p.load(file); err != nil {
		p.Close()
		return nil, err
	}
	return p, nil
}

func newProgram(cfg Config) (*Program, error) {
	reg, err := newRegistry(cfg.Modules)
	if err != nil {
		return nil, err
	}
	p := &Program{
		registry: reg, scripts: cfg.Scripts, unsaved: cfg.Unsaved, log: cfg.Log, host: cfg.Host, values: cfg.Values,
		luaLimits: luaLimits{cfg.LuaBudget, cfg.MaxLuaMemory}, maxString: cfg.MaxLuaString, concat: newConcat(cfg.MaxLuaString), maxBody: cfg.MaxBufferedBody,
		limits: DefaultLimits(), now: cfg.Now, overlay: cfg.Overlay,
	}
	if p.now == nil {
		p.now = time.Now
	}
	if err := checkHost(cfg.Host); err != nil {
		return nil, err
	}
	if p.log == nil {
		p.log = slog.Default()
	}
	p.kept.start(p.log)
	if p.sandbox, err = cfg.Sandbox.check(); err != nil {
		return nil, err
	}
	p.loadLimits = luaLimits{cfg.LoadBudget, cfg.MaxLoadMemory}
	p.luaLimits.setDefaults(5*time.Second, 512<<20, 1)
	p.loadLimits.setDefaults(time.Minute, 4<<30, 3)
	if p.maxBody == 0 {
		p.maxBody = 64 << 20
	}
	p.errorPage = cfg.ErrorPage
	if cfg.Inspect {
		p.inspection = newInspection()
	}
	p.requests.New = func() any { return &VRequest{} }
	for _, def := range reg.defs {
		p.defaults = append(p.defaults, def.Default)
	}
	for name, ref := range map[string]*OptionRef{
		OptionServerTag: &p.serverTag, OptionLog: &p.logOption,
		OptionKeepAliveTimeout: &p.keepAlive[0], OptionKeepAliveRequests: &p.keepAlive[1],
	} {
		if _, ok := reg.options[name]; !ok {
			return nil, fmt.Errorf("no module defines the option %q", name)
		}
		*ref = p.OptionRef(name)
	}
	return p, nil
}

// load runs the script and makes the states of its heap.
func (p *Program) load(file string) error {
	l := newLoad(p, true, p.sandbox)
	globals, err := l.run(luaio.Options{}, file) // whoever starts the script chooses it
	if err != nil {
		l.st.close()
		return err
	}
	if p.root, err = l.pipeline(globals, file); err != nil {
		l.st.close()
		return err
	}
	if i, ok := p.registry.options[OptionStrictPost]; ok {
		p.strictPost, _ = p.defaults[i].(bool)
	}
	if i, ok := p.registry.options[OptionProxyTLV]; ok {
		p.proxying.MaxTLV, _ = p.defaults[i].(int64)
	}
	n := p.wantStates
	if n == 0 {
		n = goruntime.GOMAXPROCS(0)
		if p.shared = l.st.loadTimeWrite(l.st.heap.roots); p.shared != nil {
			n = 1
			p.log.Debug("handlers write to variables of the script: one Lua state", "pos", p.shared.String())
		}
	}
	p.warnings = l.warnings()
	if p.inspection != nil {
		p.inspection.pluginActions = slices.Sorted(maps.Keys(l.pluginActions))
		p.inspection.pluginSetups = slices.Sorted(maps.Keys(l.pluginSetups))
		p.inspection.globals = l.st.baseNames()
	}
	for _, w := range p.warnings {
		p.log.Warn(w.Msg, "pos", w.Pos.String())
	}
	l.finish(n)
	return nil
}

// Warning is something in a script that is probably not what its author meant.
type Warning struct {
	Pos  Pos
	Msg  string
	Kind WarningKind
}

// WarningKind says what a warning is about.
type WarningKind uint8

// The kinds of warnings.
const (
	UnusedCondition WarningKind = iota
	IgnoredKey                  // of a table that was neither a string nor a number
)

// String prints site.lua:12: warning: what is odd.
func (w Warning) String() string { return w.Pos.String() + ": warning: " + w.Msg }

// Warnings returns what is odd about the script.
func (p *Program) Warnings() []Warning { return p.warnings }

// finish ends the loading: requests may use the heap now. A heap that the pipeline does
// not use is dropped.
func (l *load) finish(states int) {
	st, h := l.st, l.st.heap
	st.builder = st.builder.forState(st)
	st.envMeta.RawSetString("__index", st.base)
	st.envMeta.RawSetString("__newindex", st.newGlobal)
	if len(h.roots) == 0 {
		st.close()
		return
	}
	if !st.canFork(h.roots) {
		states = 1
	}
	h.states = []*state{st}
	for len(h.states) < states {
		h.states = append(h.states, st.fork(h.roots))
	}
	st.roots = h.roots
	for _, st := range h.states {
		st.protectShared()
	}
	l.prog.addHeap(h)
}

func (p *Program) addHeap(h *heap) {
	p.closeMu.Lock()
	defer p.closeMu.Unlock()
	p.heaps = append(p.heaps, h)
}

// dropHeap forgets a heap that was replaced; requests that still run in it keep it alive.
func (p *Program) dropHeap(h *heap) {
	p.closeMu.Lock()
	defer p.closeMu.Unlock()
	p.heaps = slices.DeleteFunc(p.heaps, func(other *heap) bool { return other == h })
}

// OptionRef resolves the name of an option. It panics for a name that no module defines.
func (p *Program) OptionRef(name string) OptionRef {
	i, ok := p.registry.options[name]
	if !ok {
		panic("no module defines the option " + name)
	}
	return OptionRef(i)
}

// Name returns the file that the program was loaded from.
func (p *Program) Name() string { return p.name }

// MaxBufferedBody is how much of a body may be held in memory at once, in bytes (see [Config]).
func (p *Program) MaxBufferedBody() int64 { return p.maxBody }

// Listeners returns where the script wants to be reached, in order.
func (p *Program) Listeners() []Listener { return p.listeners }

// Limits returns what the script lets clients ask for.
func (p *Program) Limits() Limits { return p.limits }

// Proxying returns whom the script trusts with PROXY headers.
func (p *Program) Proxying() Proxying { return p.proxying }

// Outdate has every request from now on fail with err, why a newer script could not take the place
// of this one, before any action runs. It is for development, where nobody should look at the
// answers of a script that is not the one in the editor. It is safe for concurrent use.
func (p *Program) Outdate(err error) { p.outdated.Store(&err) }

// States returns how many Lua states the script's own heap has, 0 when its pipeline calls
// no Lua, and the place in the script that forced a single one, if something did.
func (p *Program) States() (n int, forced *Pos) {
	p.closeMu.Lock()
	defer p.closeMu.Unlock()
	if len(p.heaps) > 0 {
		n = len(p.heaps[0].states)
	}
	return n, p.shared
}

func (p *Program) onClose(f func()) {
	p.closeMu.Lock()
	defer p.closeMu.Unlock()
	p.closers = append(p.closers, f)
}

// Close ends what the program does in the background and frees what it holds: backend
// connections, Lua states. Requests that still run may fail.
func (p *Program) Close() error {
	p.background.stop()
	p.closeMu.Lock()
	closers, heaps := p.closers, p.heaps
	p.closers, p.heaps = nil, nil
	p.closeMu.Unlock()
	for _, f := range closers {
		f()
	}
	p.kept.close()
	for _, h := range heaps {
		for _, st := range h.states {
			st.close()
		}
	}
	return nil
}

// SubrequestDepth returns how many requests wait for this one: 0 when it is no subrequest.
func (vr *VRequest) SubrequestDepth() int {
	n := 0
	for up := vr.parent; up != nil; up = up.parent {
		n++
	}
	return n
}

// Subrequest runs an action on a copy of vr's request and returns its answer, which the
// caller closes. The copy has no body; it shares nothing that the action can change.
func (vr *VRequest) Subrequest(ctx context.Context, a Action) *Reply {
	sub := &VRequest{prog: vr.prog, exchange: vr.exchange, ctx: ctx, parent: vr, Con: vr.Con, Request: vr.Request, Physical: vr.Physical}
	sub.Request.Header = vr.Request.Header.clone()
	for _, name := range []string{"Content-Length", "Transfer-Encoding"} {
		sub.Request.Header.Remove(name)
	}
	sub.Env.header = vr.Env.header.clone()
	if vr.options != nil {
		sub.options = append([]any(nil), vr.options...)
	}
	sub.noBody.closed = true
	sub.rawIn, sub.Out = &sub.noBody, &sub.rawOut
	sub.In = sub.rawIn
	if vr.trace != nil {
		sub.trace = vr.trace.subrequest(sub)
	}
	if err := sub.runSafely(a); err != nil {
		sub.fail(err)
	}
	return sub.makeReply()
}

// Files returns the scripts that the program was made of, the plugins that are built in left
// out: those that the loading read, and those of lua.handler that were run. It is safe for
// concurrent use.
func (p *Program) Files() []string {
	p.filesMu.Lock()
	defer p.filesMu.Unlock()
	return slices.Clone(p.files)
}

// maxStringBytes is the length of the longest string that a library function makes.
func (p *Program) maxStringBytes() int {
	if p.maxString > 0 {
		return p.maxString
	}
	return luastring.DefaultMaxLen
}
