package runtime

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	lua "github.com/yuin/gopher-lua"

	"luaserve/runtime/luaio"
)

// SandboxLevel says how much the Lua code of a script may do. A higher one allows less.
type SandboxLevel uint8

// The levels. docs/security.md says what each of them promises.
const (
	// SandboxDefault is SandboxTrusted while the script is loaded and SandboxHandler while
	// requests are handled; for a file of lua.handler it is SandboxHandler throughout.
	SandboxDefault SandboxLevel = iota
	// SandboxTrusted allows everything but os.exit.
	SandboxTrusted
	// SandboxHandler refuses to run commands, to change the environment of the process, and
	// to change what all requests share behind the back of the script: the libraries, and
	// the variables of functions (debug).
	SandboxHandler
	// SandboxUntrusted allows to read the request and to write the response. Files are
	// confined to a directory; actions, setups and functions that reach further must be
	// allowed by name.
	SandboxUntrusted
)

var sandboxNames = []string{"default", "trusted", "handler", "untrusted"}

// String returns the name that scripts use: "untrusted".
func (l SandboxLevel) String() string { return sandboxNames[l] }

// ParseSandboxLevel returns the level of a name.
func ParseSandboxLevel(name string) (SandboxLevel, error) {
	if i := slices.Index(sandboxNames, name); i >= 0 {
		return SandboxLevel(i), nil
	}
	return 0, Unknown("sandbox level", name, sandboxNames)
}

// Sandbox is what a script may do: a level, and what is allowed beyond it. The zero value
// is right for a script that one has written oneself.
type Sandbox struct {
	Level SandboxLevel
	// Root is the directory that an untrusted script is confined to, with io.open, require,
	// vr:stat and the like; "" means that it has no files.
	Root string
	// Allow are names that the level refuses and this script may use all the same:
	// functions of Lua's libraries ("os.getenv", or "os" for all of it), actions, setups and
	// options ("docroot"), host values, and what error messages name.
	Allow []string
}

// check makes the root absolute.
func (s Sandbox) check() (Sandbox, error) {
	if int(s.Level) >= len(sandboxNames) {
		return s, fmt.Errorf("there is no sandbox level %d", s.Level)
	}
	if s.Root == "" {
		return s, nil
	}
	if s.Level != SandboxUntrusted {
		return s, fmt.Errorf(`a root confines scripts at the sandbox level "untrusted" only, the level is %q`, s.Level)
	}
	abs, err := filepath.Abs(s.Root)
	if err == nil && !Stat(abs).IsDir {
		err = fmt.Errorf("the root %q of the sandbox is no directory", s.Root)
	}
	s.Root = abs
	return s, err
}

// allows reports whether a name, or what it begins with, was allowed.
func (s *Sandbox) allows(name string) bool {
	for _, allowed := range s.Allow {
		if rest, ok := strings.CutPrefix(name, allowed); ok && (rest == "" || rest[0] == '.') {
			return true
		}
	}
	return false
}

// files is how the scripts at this level get at files.
func (s *Sandbox) files(maxLen int) luaio.Options {
	return luaio.Options{MaxLen: maxLen, Root: s.Root, NoFiles: s.Level == SandboxUntrusted && s.Root == ""}
}

// grant is what a script with the sandbox s gives to a file of lua.handler. Nobody gives
// more than he has.
func (s Sandbox) grant(wanted Sandbox) (Sandbox, error) {
	wanted, err := wanted.check()
	if err != nil {
		return s, err
	}
	switch {
	case s.Level == SandboxUntrusted:
		if wanted.Level != SandboxDefault && wanted.Level != SandboxUntrusted || wanted.Root != "" || wanted.Allow != nil {
			return s, fmt.Errorf(`a script at the sandbox level "untrusted" hands on what it may do, and nothing else`)
		}
		return s, nil
	case wanted.Level == SandboxDefault:
		wanted.Level = SandboxHandler
	}
	if s.Level == SandboxHandler {
		if wanted.Level < s.Level {
			return s, fmt.Errorf("a script at the sandbox level %q cannot give %q", s.Level, wanted.Level)
		}
		for _, name := range wanted.Allow {
			if wanted.Level == s.Level && !s.allows(name) {
				return s, fmt.Errorf("a script at the sandbox level %q cannot allow %s, which it may not use itself", s.Level, name)
			}
		}
	}
	return wanted, nil
}

// level is the level that counts at this moment.
func (st *state) level() SandboxLevel {
	level := st.heap.sandbox.Level
	if level == SandboxDefault {
		if st.builder == nil || st.builder.load != nil {
			return SandboxTrusted
		}
		return SandboxHandler
	}
	return level
}

// mayUse reports whether something may be used that is allowed up to a level, or by its name.
func (st *state) mayUse(name string, upTo SandboxLevel) bool {
	return st.level() <= upTo || st.heap.sandbox.allows(name)
}

// guard returns an error unless something may be used.
func (st *state) guard(name string, upTo SandboxLevel) error {
	if st.mayUse(name, upTo) {
		return nil
	}
	return st.refusal(name, upTo)
}

func (st *state) refusal(name string, upTo SandboxLevel) *SandboxError {
	return &SandboxError{Name: name, Level: st.level(), Needs: upTo, handlerFile: st.heap.isFile, configured: st.heap.prog.sandbox.Level > SandboxTrusted}
}

// SandboxError is the use of something that the level of a script refuses.
type SandboxError struct {
	Name         string
	Level, Needs SandboxLevel

	handlerFile bool // it is one of lua.handler
	configured  bool // the level of the script comes from outside
	unnamed     bool // Name is not one that can be allowed
}

// Error says what was refused, at which level, and how to allow it.
func (e *SandboxError) Error() string {
	var how string
	switch {
	case e.handlerFile && e.unnamed:
		how = fmt.Sprintf("lua.handler(file, { sandbox = %q })", e.Needs)
	case e.handlerFile:
		how = fmt.Sprintf("lua.handler(file, { sandbox = %q, allow = { %q } })", e.Level, e.Name)
	case e.configured && e.unnamed:
		how = fmt.Sprintf("--sandbox %s (in Go: Config.Sandbox)", e.Needs)
	case e.configured:
		how = fmt.Sprintf("--sandbox-allow %s (in Go: Config.Sandbox)", e.Name)
	default:
		how = fmt.Sprintf("setup.lua.sandbox(%q)", e.Needs)
	}
	return fmt.Sprintf("%s is refused at the sandbox level %q; %s allows it", e.Name, e.Level, how)
}

// Guard raises an error in an untrusted script that was not allowed to use name: something
// that reaches beyond the response to the request.
func (c *Call) Guard(name string) {
	if err := c.st.guard(name, SandboxHandler); err != nil {
		c.Errorf("%s", err)
	}
}

// guard returns an error unless the script may use an action, a setup or an option. Names
// that no module defines are refused elsewhere.
func (b *Builder) guard(name string) error {
	reg := b.prog.registry
	if !reg.known[name] {
		return nil
	}
	upTo, ok := reg.upTo[name]
	if !ok {
		upTo = SandboxHandler
	}
	return b.st.guard(name, upTo)
}

// Files is how the script that is calling gets at files: confined to a directory or not.
func (c *Call) Files() luaio.Options { return c.st.heap.files() }

// Files is how the script that is calling gets at files, and where the paths must lie that it
// gives to actions and setups.
func (b *Builder) Files() luaio.Options { return b.st.heap.files() }

func (h *heap) files() luaio.Options { return h.sandbox.files(h.prog.maxStringBytes()) }

// guardLibraries puts a check before each library function that a level refuses.
func (st *state) guardLibraries() {
	for _, rule := range libraryRules {
		library, name, found := strings.Cut(rule.name, ".")
		table := st.L.G.Global
		if found {
			table, _ = table.RawGetString(library).(*lua.LTable)
		} else {
			name = library
		}
		original, ok := table.RawGetString(name).(*lua.LFunction)
		if !ok {
			panic("no library function " + rule.name)
		}
		table.RawSetString(name, st.L.NewFunction(func(L *lua.LState) int {
			if err := st.guard(rule.name, rule.upTo); err != nil {
				L.RaiseError("%s", err)
			}
			return original.GFunction(L)
		}))
	}
}

// SetSandbox changes what the handlers of the script itself may do, while it is loaded.
func (b *Builder) SetSandbox(s Sandbox) error {
	if s.Level != SandboxTrusted && s.Level != SandboxHandler {
		return fmt.Errorf(`level: expected "trusted" or "handler"; whoever includes or starts a script can make it "untrusted"`)
	}
	current := &b.st.heap.sandbox
	switch {
	case b.prog.sandbox.Level == SandboxDefault || b.prog.sandbox.Level == SandboxTrusted:
		*current = s
	case s.Level == current.Level && s.Allow == nil:
	default:
		return fmt.Errorf("the script was started at the sandbox level %q, which it cannot change", current.Level)
	}
	return nil
}
