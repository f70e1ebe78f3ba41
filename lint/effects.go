package lint

import (
	"strings"

	"luaserve/runtime"
)

// effect is what the checks know of an action. An action without an entry may do anything,
// and nothing is said about what comes behind it.
type effect struct {
	answers bool   // behind it the request is answered, or has failed
	may     bool   // it may answer the request
	idle    bool   // it does nothing when the request is answered already
	guard   bool   // it keeps clients out
	maps    bool   // it maps the URL to a file
	reads   bool   // it works with that file only
	sees    bool   // it looks at the address of the request or at the file
	changes change // which variables
}

// change is a set of variables.
type change uint8

const (
	changesPath change = 1 << iota // request.path, raw_path, query
	changesHost
	changesHeader
	changesEnv
	changesFile // physical.*
	changesResponse
	changesClient        // the address of the client
	changesAll    change = 0xff
)

var (
	answering = effect{answers: true, idle: true, sees: true, changes: changesResponse}
	backend   = effect{answers: true, idle: true, sees: true, changes: changesResponse | changesEnv}
	guarding  = effect{may: true, idle: true, guard: true, changes: changesResponse | changesEnv}
	serving   = effect{may: true, idle: true, reads: true, changes: changesResponse}
	showing   = effect{may: true, idle: true, sees: true, changes: changesResponse}
	harmless  = effect{}
)

// effects are those of luaserve's own actions. Actions that run others have theirs in the
// walk: when, list, the maps.
var effects = map[string]effect{
	"respond": answering, "status.info": answering, "status.metrics": answering,
	"debug.show_connections": answering, "debug.show_events": answering, "debug.profiler_dump": answering,
	"fastcgi": backend, "scgi": backend, "proxy": backend,
	"cgi": showing, "fortune.page": showing, "progress.show": showing, "memcached.lookup": showing, "redirect": showing,
	"auth.plain": guarding, "auth.htpasswd": guarding, "auth.htdigest": guarding, "fastcgi.authorize": guarding,
	"access.check": guarding, "limit.con": guarding, "limit.con_ip": guarding, "limit.req": guarding, "limit.req_ip": guarding,
	"auth.deny":   {answers: true, idle: true, guard: true, changes: changesResponse},
	"access.deny": {answers: true, idle: true, guard: true, changes: changesResponse},
	"static":      serving, "static_no_fail": serving, "dirlist": serving, "flv": serving,
	"index":    {may: true, idle: true, reads: true, changes: changesResponse | changesFile | changesPath},
	"pathinfo": {idle: true, reads: true, changes: changesFile | changesPath},
	"docroot":  {maps: true, changes: changesFile},
	"alias":    {maps: true, changes: changesFile},
	"userdir":  {maps: true, may: true, sees: true, changes: changesFile | changesPath | changesResponse},
	"rewrite":  {changes: changesPath}, "rewrite_raw": {changes: changesPath},
	"req_header.add": {changes: changesHeader}, "req_header.append": {changes: changesHeader},
	"req_header.overwrite": {changes: changesHeader}, "req_header.remove": {changes: changesHeader},
	"header.add": {changes: changesResponse}, "header.append": {changes: changesResponse},
	"header.overwrite": {changes: changesResponse}, "header.remove": {changes: changesResponse},
	"env.set": {changes: changesEnv}, "env.add": {changes: changesEnv}, "env.remove": {changes: changesEnv}, "env.clear": {changes: changesEnv},
	"openssl.setenv": {changes: changesEnv}, "proxy_protocol.trust": {changes: changesClient},
	"expire": {sees: true, changes: changesResponse}, "set_status": {changes: changesResponse}, "deflate": {changes: changesResponse},
	"cache.disk.etag": {changes: changesResponse}, "fortune.header": {changes: changesResponse}, "memcached.store": {sees: true},
	"log.write": harmless, "io.buffer_in": harmless, "io.buffer_out": harmless, "progress.track": harmless,
	"io.throttle": harmless, "io.throttle_ip": harmless, "io.throttle_pool": harmless,
}

// effectOf returns what is known of an action, and whether anything is.
func (w *walk) effectOf(t runtime.Tree) (effect, bool) {
	if w.options[t.Node.Name] && len(t.Children()) == 0 {
		return harmless, true // it sets an option
	}
	e, known := effects[t.Node.Name]
	if t.Node.Name == "redirect" {
		args := t.Args() // with a target alone it always redirects
		e.answers = len(args) == 1 && args[0].Value.Kind() == runtime.KindString
	}
	return e, known
}

// changeOf says what must change for a variable to change.
func changeOf(variable string) change {
	switch {
	case variable == "request.path" || variable == "request.raw_path" || variable == "request.query":
		return changesPath
	case variable == "request.host" || variable == "request.scheme":
		return changesHost
	case variable == "request.header":
		return changesHeader
	case variable == "request.environment":
		return changesEnv
	case strings.HasPrefix(variable, "physical."):
		return changesFile
	case strings.HasPrefix(variable, "response."), variable == "request.is_handled":
		return changesResponse
	case strings.HasSuffix(variable, "ip"), strings.HasSuffix(variable, "port"):
		return changesClient
	}
	return 0 // nothing changes it but a Lua function
}

// mentions reports whether an argument contains a pattern that begins with one of the texts.
func mentions(t runtime.Tree, texts ...string) bool {
	for _, a := range t.Args() {
		s := a.Value.String()
		for _, text := range texts {
			if strings.Contains(s, text) {
				return true
			}
		}
	}
	return false
}
