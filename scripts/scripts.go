// Package scripts holds the Lua plugins that are part of luaserve. A script finds them by
// their bare names: lua.plugin "core.lua".
package scripts

import "embed"

// FS has core.lua and secdownload.lua.
//
//go:embed *.lua
var FS embed.FS
