// Package runtime is the engine of luaserve: it turns a Lua script that describes a
// virtual host into an immutable pipeline of Go values, and runs HTTP requests through it.
//
// [Load] runs the script once. What the script leaves in its global "actions" becomes a
// [Program], which is an [http.Handler]. A request enters Lua again only where the script
// put a Lua function.
//
// The words are lighttpd2's: a [Module] is a documented set of setups, actions, options
// and Lua objects; an [Action] is a node of the pipeline; a [Condition] is a test over an
// lvalue such as request.path; a [Pattern] is a string with %{…} in it; a [VRequest] is
// one request on its way; an [Exchange] is what a front end offers.
//
// Modules live in other packages (see luaserve/bindings); this package imports none.
package runtime
