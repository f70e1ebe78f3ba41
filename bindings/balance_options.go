package bindings

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"luaserve/bindings/balancer"
	"luaserve/runtime"
)

// balanceOptions is what the arguments of a balancer say.
type balanceOptions struct {
	config  balancer.Config
	actions []runtime.Action
	tries   int64
	check   *healthCheck // nil for none
}

func newBalanceOptions() *balanceOptions {
	return &balanceOptions{tries: 3, config: balancer.Config{Backlog: 1000, Fails: 3, Wait: 10 * time.Second, Pause: time.Second, MaxPause: 8 * time.Second}}
}

const longestPause = time.Hour

var balanceTable = []option[balanceOptions]{
	{name: "backends", required: true, typ: "actions|table[]", set: (*balanceOptions).readBackends, inner: describeOptions(balanceEntryTable, &balanceEntry{weight: 1}),
		doc: "an action, or a list with an action or a table for each backend"},
	numberOption("tries", "how many backends may begin to work on a request", func(o *balanceOptions) *int64 { return &o.tries }, 1, mostAttempts),
	numberOption("backlog", "how many requests may wait", func(o *balanceOptions) *int { return &o.config.Backlog }, 0, 1_000_000),
	secondsOption("wait", "seconds that a request may wait; with 0 none waits", func(o *balanceOptions) *time.Duration { return &o.config.Wait }, 0, longestPause),
	numberOption("max_in_flight", "how many requests a backend gets at once; 0 is any number. A request is in progress until its answer has been sent",
		func(o *balanceOptions) *int { return &o.config.MaxInFlight }, 0, 1_000_000),
	numberOption("fails", "how many failures in a row leave a backend out", func(o *balanceOptions) *int { return &o.config.Fails }, 1, 1000),
	secondsOption("pause", "seconds that a backend is left out at first", func(o *balanceOptions) *time.Duration { return &o.config.Pause }, time.Millisecond, longestPause),
	secondsOption("max_pause", "seconds that a backend is left out at most", func(o *balanceOptions) *time.Duration { return &o.config.MaxPause }, time.Millisecond, longestPause),
	{name: "check", typ: "table", set: (*balanceOptions).readCheck, inner: describeOptions(checkTable, newHealthCheck()),
		doc: "has each backend checked by itself, from when the server begins to serve"},
}

func newBalance(policy balancer.Policy) func(*runtime.Builder, runtime.Args) (runtime.Action, error) {
	return func(b *runtime.Builder, args runtime.Args) (runtime.Action, error) {
		o := newBalanceOptions()
		o.config.Policy = policy
		action, list := &balance{debug: b.Option("balance.debug")}, args.Value(0)
		if policy == balancer.Hash {
			action.key, list = args.Pattern(0), args.Value(1)
		}
		if err := o.read(list); err != nil {
			return nil, err
		}
		action.pool, action.actions, action.tries = balancer.New(o.config), o.actions, o.tries
		if o.check != nil {
			if err := o.check.start(b, action); err != nil {
				return nil, fmt.Errorf("check: %w", err)
			}
		}
		if b.InSite() {
			balancersOf(b).add(b.Pos().String(), action.pool)
		}
		return action, nil
	}
}

// read reads a list of backends, or a table of options with it.
func (o *balanceOptions) read(v runtime.Value) error {
	if !v.IsHash() {
		return o.readBackends(v)
	}
	pairs, _ := v.Pairs()
	err := readOptions(o, balanceTable, pairs)
	switch {
	case err != nil:
		return err
	case o.config.MaxPause < o.config.Pause:
		return fmt.Errorf("max_pause: expected at least the pause, %v seconds, got %v", o.config.Pause.Seconds(), o.config.MaxPause.Seconds())
	}
	return nil
}

// readBackends reads one action or a list. A list that is the only thing in a list is that
// list.
func (o *balanceOptions) readBackends(v runtime.Value) error {
	items, isList := v.List()
	for isList && !v.IsHash() && len(items) == 1 && items[0].Kind() == runtime.KindList && !items[0].IsHash() {
		v = items[0]
		items, _ = v.List()
	}
	switch {
	case v.Kind() == runtime.KindAction:
		items = []runtime.Value{v}
	case !isList:
		return fmt.Errorf("expected a list of actions, got %s", v.Kind())
	case v.IsHash():
		return errors.New("expected a list of actions, got a table with names")
	case len(items) == 0:
		return errors.New("the list of backends is empty")
	}
	for i, item := range items {
		if err := o.readEntry(item); err != nil {
			return fmt.Errorf("entry %d: %w", i+1, err)
		}
	}
	return nil
}

// balanceEntry is a backend that is given as a table.
type balanceEntry struct {
	action *runtime.Node
	name   string
	weight int
}

var balanceEntryTable = []option[balanceEntry]{
	{name: "action", required: true, typ: "actions", doc: "an action", set: func(e *balanceEntry, v runtime.Value) (err error) {
		e.action, err = readAction(v)
		return err
	}},
	fieldOption("name", "what the log, status.info and balance.hash know it by; by default the address", func(e *balanceEntry) *string { return &e.name }),
	numberOption("weight", "its share of the requests, from 1 to 100", func(e *balanceEntry) *int { return &e.weight }, 1, 100),
}

func readAction(v runtime.Value) (*runtime.Node, error) {
	action, ok := v.Action()
	if !ok {
		return nil, fmt.Errorf("expected an action, got %s", v.Kind())
	}
	return action, nil
}

// readEntry reads one backend: an action, or a table with it.
func (o *balanceOptions) readEntry(v runtime.Value) (err error) {
	e := balanceEntry{weight: 1}
	if v.IsHash() {
		pairs, _ := v.Pairs()
		if err := readOptions(&e, balanceEntryTable, pairs); err != nil {
			return err
		}
	} else if e.action, err = readAction(v); err != nil {
		return err
	}
	if e.name == "" {
		e.name = backendName(e.action)
	}
	o.actions = append(o.actions, e.action)
	o.config.Backends = append(o.config.Backends, balancer.Backend{Name: e.name, Weight: e.weight})
	return nil
}

// backendName is what a backend is called that has no name of its own: its address, else its
// action and the place where that was made.
func backendName(node *runtime.Node) string {
	if address := backendAddress(node); address != "" {
		return address
	}
	return strings.TrimSpace(node.Name + " " + node.Pos.String())
}

// backendAddress returns the address of the only FastCGI, SCGI or HTTP backend in an action,
// "" when there is none or several.
func backendAddress(a runtime.Action) (address string) {
	switch a := a.(type) {
	case *runtime.Node:
		return backendAddress(a.Act)
	case runtime.List:
		for _, item := range a {
			switch found := backendAddress(item); {
			case found == "":
			case address != "":
				return ""
			default:
				address = found
			}
		}
	case *fastcgiBackend:
		return a.address
	case *scgiBackend:
		return a.address
	case *proxyUpstream:
		return a.address
	}
	return address
}

func (o *balanceOptions) readCheck(v runtime.Value) error {
	pairs, ok := v.Pairs()
	if !ok {
		return fmt.Errorf("expected a table of options, got %s", v.Kind())
	}
	o.check = newHealthCheck()
	return readOptions(o.check, checkTable, pairs)
}

func newHealthCheck() *healthCheck {
	return &healthCheck{interval: 5 * time.Second, timeout: 2 * time.Second, rise: 2, fall: 3, host: "localhost"}
}

const shortestCheck = 10 * time.Millisecond

var checkTable = []option[healthCheck]{
	{name: "path", typ: "string", set: (*healthCheck).readPath,
		doc: "the actions get a GET request for it, and what the script does before the balancer is not done for that; an answer with a status from 200 to 399 is good. Without a path it is enough that the backend takes a connection"},
	fieldOption("host", "the Host of the request that checks", func(c *healthCheck) *string { return &c.host }),
	secondsOption("interval", "seconds between two checks", func(c *healthCheck) *time.Duration { return &c.interval }, shortestCheck, longestPause),
	secondsOption("timeout", "seconds that a check may take", func(c *healthCheck) *time.Duration { return &c.timeout }, shortestCheck, longestPause),
	numberOption("fall", "after so many bad checks in a row the backend is down and gets no requests", func(c *healthCheck) *int64 { return &c.fall }, 1, 100),
	numberOption("rise", "after so many good checks in a row the backend is up", func(c *healthCheck) *int64 { return &c.rise }, 1, 100),
}

func (c *healthCheck) readPath(v runtime.Value) error {
	path, ok := v.Str()
	if !ok || !strings.HasPrefix(path, "/") {
		return fmt.Errorf(`expected a path that begins with "/", got %s`, v)
	}
	c.path = path
	return nil
}
