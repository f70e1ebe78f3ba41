package luafast

import (
	"strings"

	lua "github.com/yuin/gopher-lua"
)

// library lists the functions of Lua's libraries that are leaf functions.
var library = map[Leaf]string{
	LeafPlain: `tostring tonumber
		string.byte string.char string.find string.format string.gfind string.gmatch string.gsub string.len string.lower string.match
		string.rep string.reverse string.sub string.upper
		os.clock os.date os.difftime os.getenv os.time`,
	LeafAny: `type rawequal rawget next select unpack getmetatable
		table.concat table.getn table.maxn
		math.abs math.acos math.asin math.atan math.atan2 math.ceil math.cos math.cosh math.deg math.exp math.floor
		math.fmod math.frexp math.ldexp math.log math.log10 math.max math.min math.mod math.modf math.pow math.rad
		math.random math.sin math.sinh math.sqrt math.tan math.tanh`,
	LeafStores: `rawset setmetatable table.insert table.remove`,
	leafPairs:  `pairs`,
	leafIpairs: `ipairs`,
}

// AddLibrary tells the machine about the functions of Lua's libraries that a state has.
// names are their full names: print, table.insert.
func (m *Machine) AddLibrary(names map[*lua.LFunction]string) {
	leaves := map[string]Leaf{}
	for leaf, list := range library {
		for _, name := range strings.Fields(list) {
			leaves[name] = leaf
		}
	}
	for fn, name := range names {
		leaf := leaves[name]
		if leaf == NotLeaf || !fn.IsG {
			continue
		}
		m.AddLeaf(fn, leaf)
		if leaf == leafPairs || leaf == leafIpairs {
			m.AddLeaf(fn.Upvalues[0].Value().(*lua.LFunction), LeafAny)
		}
	}
}
