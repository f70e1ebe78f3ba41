package runtime

// libraryRule says up to which level a function of Lua's libraries may be used. A function
// without a rule may be used at all of them.
type libraryRule struct {
	name string
	upTo SandboxLevel
}

// libraryRules are in the order in which they are explained:
// commands and the environment of the process;
// looking into and changing the variables of functions, and metatables that are protected;
// files that have no name to confine, and those of the process;
// the environment variables, which hold secrets;
// the environments of functions, which all requests share;
// what allocates or collects without a limit of its own.
var libraryRules = []libraryRule{
	{"os.execute", SandboxTrusted},
	{"io.popen", SandboxTrusted},
	{"os.setenv", SandboxTrusted},

	{"debug.getfenv", SandboxTrusted},
	{"debug.getlocal", SandboxTrusted},
	{"debug.getmetatable", SandboxTrusted},
	{"debug.getupvalue", SandboxTrusted},
	{"debug.setfenv", SandboxTrusted},
	{"debug.setlocal", SandboxTrusted},
	{"debug.setmetatable", SandboxTrusted},
	{"debug.setupvalue", SandboxTrusted},

	{"debug.getinfo", SandboxHandler},
	{"io.input", SandboxHandler},
	{"io.output", SandboxHandler},
	{"io.read", SandboxHandler},
	{"io.tmpfile", SandboxHandler},
	{"io.write", SandboxHandler},
	{"os.tmpname", SandboxHandler},

	{"os.getenv", SandboxHandler},

	{"getfenv", SandboxHandler},
	{"setfenv", SandboxHandler},
	{"module", SandboxHandler},
	{"newproxy", SandboxHandler},
}
