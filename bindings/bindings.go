// Package bindings holds what scripts can use: one file a module, each with its table of
// setups, actions, options and Lua objects. [Modules] is the one explicit list of them.
package bindings

import "luaserve/runtime"

// Modules returns the modules of luaserve, for [runtime.Config].
func Modules() []*runtime.Module {
	return []*runtime.Module{
		coreModule(),
		staticModule(),
		vhostModule(),
		expireModule(),
		redirectModule(),
		rewriteModule(),
		deflateModule(),
		dirlistModule(),
		userdirModule(),
		accessModule(),
		authModule(),
		limitModule(),
		opensslModule(),
		gnutlsModule(),
		proxyProtocolModule(),
		throttleModule(),
		cacheModule(),
		memcachedModule(),
		flvModule(),
		accesslogModule(),
		statusModule(),
		progressModule(),
		debugModule(),
		fortuneModule(),
		fastcgiModule(),
		scgiModule(),
		cgiModule(),
		proxyModule(),
		accelModule(),
		balanceModule(),
		luaModule(),
		requestAPIModule(),
	}
}
