package bindings

import (
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"time"

	"luaserve/bindings/memcached"
	"luaserve/bindings/upstream"
	"luaserve/runtime"
)

func memcachedModule() *runtime.Module {
	return &runtime.Module{
		Name: "memcached",
		Doc: "Keeps response bodies in memcached, where applications can put, change and delete them as well. " +
			"The key is all that tells two bodies apart: have in it what they depend on, such as the host and the query. " +
			"A server that is down, slow or broken is a miss and a line in the log, at most one in ten seconds: " +
			"an operation takes a second at most, and after a failure the server is left alone for a second.",
		Actions: []runtime.ActionDef{
			{Name: "memcached.lookup", New: newMemcachedLookup,
				Doc: "Answers a GET or HEAD with what is stored under the key: status 200, and the Content-Type that mime_types has for the path of the URL. " +
					"Other methods are a miss. It does nothing, neither hit nor miss, when the request is answered already. Put it behind what decides who may see the answer.",
				Example: `local page = { key = "%{req.scheme}://%{req.host}%{req.path}?%{req.query}" }` + "\n" +
					`actions = { memcached.lookup(page, header.add("X-Memcached", "hit"), { docroot "/var/www", static(), memcached.store(page) }) }`,
				Params: []runtime.Param{
					{Name: "options", Type: runtime.TPairs, Optional: true, Options: describeOptions(memcachedTable, newMemcachedOptions(defaultLookupSize)),
						Doc: "both actions can have the same ones: flags and ttl have no effect here"},
					{Name: "hit", Type: runtime.TAction, Optional: true, Doc: "what to run when the request was answered"},
					{Name: "miss", Type: runtime.TAction, Optional: true, Doc: "what to run when it was not"}}},
			{Name: "memcached.store", New: newMemcachedStore, Backend: runtime.Decides,
				Doc: "Stores the body of the answer to a GET when all of it has been sent; put it behind what answers the request. " +
					"Stored are complete answers of status 200, as they are behind the filters before it. " +
					"Not stored are those that say they are for one client (Set-Cookie, Cache-Control: private or no-store), where lighttpd2 would: remove the header first if they are not. " +
					"What the request brought along, cookies and Authorization, is not looked at: where the answer depends on it, have it in the key. " +
					"Headers are not kept, so an answer with a Content-Encoding is not stored either: put deflate behind.",
				Example: `actions = { memcached.lookup(), docroot "/var/www", static(), memcached.store { ttl = 60, maxsize = 10000 } }`,
				Params:  []runtime.Param{{Name: "options", Type: runtime.TPairs, Optional: true, Options: describeOptions(memcachedTable, newMemcachedOptions(defaultStoreSize))}}},
		},
		Objects: []*runtime.Object{memcachedObject, memcachedConnectionObject, memcachedRequestObject},
	}
}

const (
	memcachedPort = "11211"

	defaultStoreSize  = 64 << 10 // bytes, as in lighttpd2
	defaultLookupSize = 1 << 20  // bytes; memcached itself takes no more unless told to
	maxMemcachedSize  = 1 << 30  // bytes; memcached cannot be told to take more
)

// memcachedOptions are the options of an action.
type memcachedOptions struct {
	address, keyText    string // as the script has them
	server              *memcachedServer
	key                 *runtime.Pattern
	flags, ttl, maxSize int64
	log                 runtime.OptionRef
}

func newMemcachedOptions(maxSize int64) *memcachedOptions {
	return &memcachedOptions{address: "127.0.0.1:" + memcachedPort, keyText: "%{req.path}", ttl: 30, maxSize: maxSize}
}

var memcachedTable = []option[memcachedOptions]{
	fieldOption("server", `"host:port", "host" or "unix:/path"`, func(o *memcachedOptions) *string { return &o.address }),
	fieldOption("key", "pattern of the key; one that is longer than 250 bytes or has others than 0x21 to 0x7e in it is replaced by its SHA-1",
		func(o *memcachedOptions) *string { return &o.keyText }),
	numberOption("ttl", "seconds until it is forgotten; 0 is never", func(o *memcachedOptions) *int64 { return &o.ttl }, 0, math.MaxInt32),
	numberOption("maxsize", "bytes above which a body is not stored, and a value is a miss", func(o *memcachedOptions) *int64 { return &o.maxSize }, 1, maxMemcachedSize),
	numberOption("flags", "a number that is stored with it", func(o *memcachedOptions) *int64 { return &o.flags }, 0, math.MaxUint32),
	{name: "headers", typ: "boolean", doc: "false: headers cannot be stored", set: func(_ *memcachedOptions, v runtime.Value) error {
		if on, ok := v.Bool(); on || !ok {
			return fmt.Errorf("expected false, got %s: headers cannot be stored, in lighttpd2 neither", v)
		}
		return nil
	}},
}

func readMemcachedOptions(b *runtime.Builder, pairs []runtime.Pair, maxSize int64) (*memcachedOptions, error) {
	o := newMemcachedOptions(maxSize)
	o.log = b.Option(optionLogHandling)
	err := readOptions(o, memcachedTable, pairs)
	if err != nil {
		return nil, err
	}
	if o.key, err = runtime.ParsePattern(o.keyText); err != nil {
		return nil, fmt.Errorf("key: %w", err)
	}
	if o.server, err = memcachedServerOf(b, o.address); err != nil {
		return nil, fmt.Errorf("server: %w", err)
	}
	return o, nil
}

// say logs what was done for a request that is to be logged.
func (o *memcachedOptions) say(vr *runtime.VRequest, what, key string) {
	if vr.Option(o.log).(bool) {
		vr.Log().Info("memcached: "+what, "key", key, "path", vr.Request.URI.Path)
	}
}

func newMemcachedLookup(b *runtime.Builder, args runtime.Args) (runtime.Action, error) {
	o, err := readMemcachedOptions(b, args.Pairs(0), defaultLookupSize)
	if err != nil {
		return nil, err
	}
	hit, miss := args.Action(1), args.Action(2)
	types := b.Option("mime_types")
	return runtime.Containing(func(vr *runtime.VRequest) error {
		if vr.IsHandled() {
			return nil
		}
		then := miss
		if !vr.AsksBackends() {
			o.say(vr, "not asked", o.key.Eval(vr, nil))
		} else if item := o.lookup(vr); item != nil && vr.HandleDirect() {
			then = hit
			vr.Response.Status = http.StatusOK
			vr.Response.Header.Set("Content-Type", vr.Option(types).(*mimeTable).lookup(vr.Request.URI.Path))
			vr.Out.Add(item.Value)
		}
		if then == nil {
			return nil
		}
		return then.Run(vr)
	}, given(runtime.Child{Label: "hit", Action: hit}, runtime.Child{Label: "miss", Action: miss})...), nil
}

// lookup returns what is stored for a request, nil when there is nothing.
func (o *memcachedOptions) lookup(vr *runtime.VRequest) *memcached.Item {
	if m := vr.Request.Method; m != http.MethodGet && m != http.MethodHead {
		return nil
	}
	key := o.key.Eval(vr, nil)
	item, err := o.server.get(key, o.maxSize)
	if err != nil {
		o.say(vr, "miss", key)
		return nil
	}
	o.say(vr, "hit", key)
	return item
}

// memcachedServer is a server with which the actions and scripts of a program talk. It is
// safe for concurrent use.
type memcachedServer struct {
	client *memcached.Client
	log    *slog.Logger

	mu     sync.Mutex
	quiet  time.Time // no failure is logged before
	unsaid int       // failures since the last that was
}

// memcachedKey is what a server is shared by in a program.
type memcachedKey struct{ network, address, within string }

// memcachedServerOf returns a server by its address. All of the script of the site share one;
// those that are named in handlers are bounded as clients of backends are, see clientFor.
func memcachedServerOf(b *runtime.Builder, name string) (*memcachedServer, error) {
	network, address, err := upstream.ParseAddress(withPort(name, memcachedPort))
	if err != nil {
		return nil, err
	}
	key := memcachedKey{network: network, address: address}
	if network == "unix" {
		if key.within, err = socketWithin(b, address); err != nil {
			return nil, err
		}
	}
	connect := func() *memcachedServer {
		client := memcached.NewClient(memcached.Config{Network: network, Address: address, Within: key.within})
		return &memcachedServer{client: client, log: b.Log()}
	}
	if !b.InSite() {
		return clientFor(b, key, connect), nil
	}
	return b.Shared(key, func() any {
		s := connect()
		b.OnClose(s.Close)
		return s
	}).(*memcachedServer), nil
}

// Close closes the connections that nobody uses. The server can still be asked.
func (s *memcachedServer) Close() { s.client.Close() }

// withPort adds a port to the name or address of a host that has none.
func withPort(host, port string) string {
	if host == "" || strings.ContainsRune(host, '/') || strings.HasPrefix(host, "unix:") {
		return host
	}
	bare := strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
	if _, err := netip.ParseAddr(bare); err == nil || !strings.ContainsRune(host, ':') {
		return net.JoinHostPort(bare, port)
	}
	return host
}

func (s *memcachedServer) get(key string, max int64) (*memcached.Item, error) {
	item, err := s.client.Get(key, max)
	s.complain(err)
	return item, err
}

func (s *memcachedServer) set(key string, flags uint32, ttl int64, value []byte) error {
	err := s.client.Set(key, flags, ttl, value)
	s.complain(err)
	return err
}

// memcachedQuiet is the time between two lines about failures of one server.
const memcachedQuiet = 10 * time.Second

// complain logs a failure, unless one was logged a moment ago. That something is not there
// is no failure.
func (s *memcachedServer) complain(err error) {
	if _, failed := errors.AsType[*upstream.Error](err); !failed {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	if now.Before(s.quiet) {
		s.unsaid++
		return
	}
	s.log.Error("memcached failed; requests go on without", "error", err.Error(), "unsaid", s.unsaid)
	s.quiet, s.unsaid = now.Add(memcachedQuiet), 0
}
