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
	config                             balancer.Config
	actions                            []runtime.Action
	tries, backlog, maxInFlight, fails int64
	check                              *healthCheck // nil for none
}

func newBalance(policy balancer.Policy) func(*runtime.Builder, runtime.Args) (runtime.Action, error) {
	return func(b *runtime.Builder, args runtime.Args) (runtime.Action, error) {
		o := balanceOptions{tries: 3, backlog: 1000, fails: 3,
			config: balancer.Config{Policy: policy, Wait: 10 * time.Second, Pause: time.Second, MaxPause: 8 * time.Second}}
		action, list := &balance{debug: b.Option("balance.debug")}, args.Value(0)
		if policy == balancer.Hash {
			action.key, list = args.Pattern(0), args.Value(1)
		}
		if err := o.read(list); err != nil {
			return nil, err
		}
		o.config.Backlog, o.config.MaxInFlight, o.config.Fails = int(o.backlog), int(o.maxInFlight), int(o.fails)
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
	options, _ := v.Pairs()
	const longest = time.Hour
	err := readOptions(options, optionReaders{
		"backends":      o.readBackends,
		"tries":         numberOption(&o.tries, 1, mostAttempts),
		"backlog":       numberOption(&o.backlog, 0, 1_000_000),
		"wait":          secondsOption(&o.config.Wait, 0, longest),
		"max-in-flight": numberOption(&o.maxInFlight, 0, 1_000_000),
		"fails":         numberOption(&o.fails, 1, 1000),
		"pause":         secondsOption(&o.config.Pause, time.Millisecond, longest),
		"max-pause":     secondsOption(&o.config.MaxPause, time.Millisecond, longest),
		"check":         o.readCheck,
	})
	switch {
	case err != nil:
		return err
	case o.actions == nil:
		return errors.New(`the option "backends" is missing; expected a list of actions`)
	case o.config.MaxPause < o.config.Pause:
		return fmt.Errorf("max-pause: expected at least the pause, %v seconds, got %v", o.config.Pause.Seconds(), o.config.MaxPause.Seconds())
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

// readEntry reads one backend: an action, or a table with it.
func (o *balanceOptions) readEntry(v runtime.Value) error {
	action, ok := v.Action()
	name, weight := "", int64(1)
	if v.IsHash() {
		options, _ := v.Pairs()
		err := readOptions(options, optionReaders{
			"action": func(v runtime.Value) error {
				if action, ok = v.Action(); !ok {
					return fmt.Errorf("expected an action, got %s", v.Kind())
				}
				return nil
			},
			"name":   stringOption(&name),
			"weight": numberOption(&weight, 1, 100),
		})
		if err != nil {
			return err
		}
		if action == nil {
			return errors.New(`the option "action" is missing`)
		}
	}
	if !ok {
		return fmt.Errorf("expected an action, got %s", v.Kind())
	}
	if name == "" {
		name = backendName(action)
	}
	o.actions = append(o.actions, action)
	o.config.Backends = append(o.config.Backends, balancer.Backend{Name: name, Weight: int(weight)})
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
	options, ok := v.Pairs()
	if !ok {
		return fmt.Errorf("expected a table of options, got %s", v.Kind())
	}
	c := &healthCheck{interval: 5 * time.Second, timeout: 2 * time.Second, rise: 2, fall: 3, host: "localhost"}
	o.check = c
	const least, longest = 10 * time.Millisecond, time.Hour
	return readOptions(options, optionReaders{
		"interval": secondsOption(&c.interval, least, longest),
		"timeout":  secondsOption(&c.timeout, least, longest),
		"rise":     numberOption(&c.rise, 1, 100),
		"fall":     numberOption(&c.fall, 1, 100),
		"host":     stringOption(&c.host),
		"path": func(v runtime.Value) error {
			if c.path, ok = v.Str(); !ok || !strings.HasPrefix(c.path, "/") {
				return fmt.Errorf(`expected a path that begins with "/", got %s`, v)
			}
			return nil
		},
	})
}
