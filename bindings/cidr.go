package bindings

import (
	"fmt"
	"net/netip"
	"strings"

	"luaserve/runtime"
)

// networks finds the most specific network that contains an address: the values of
// map_cidr and access.check. An entry that is given twice counts as given last.
type networks[T any] struct {
	byPrefix map[netip.Prefix]T
	lengths4 []int // prefix lengths in use, longest first
	lengths6 []int
	all      *T
}

// add reads a network; "all" and "default" are every client, also those without an address.
func (n *networks[T]) add(text string, value T) error {
	if text == "all" || text == "default" {
		n.all = &value
		return nil
	}
	p, err := runtime.ParseNetwork(text)
	if err != nil {
		return fmt.Errorf(`%w, or "all"`, err)
	}
	if n.byPrefix == nil {
		n.byPrefix = map[netip.Prefix]T{}
	}
	if _, known := n.byPrefix[p]; !known {
		if p.Addr().Is4() {
			n.lengths4 = insertLength(n.lengths4, p.Bits())
		} else {
			n.lengths6 = insertLength(n.lengths6, p.Bits())
		}
	}
	n.byPrefix[p] = value
	return nil
}

func insertLength(lengths []int, bits int) []int {
	for i, l := range lengths {
		if l == bits {
			return lengths
		}
		if l < bits {
			return append(lengths[:i], append([]int{bits}, lengths[i:]...)...)
		}
	}
	return append(lengths, bits)
}

// find returns the value of the longest matching network.
func (n *networks[T]) find(a netip.Addr) (value T, ok bool) {
	if a.IsValid() {
		lengths := n.lengths6
		if a.Is4() {
			lengths = n.lengths4
		}
		for _, bits := range lengths {
			if p, err := a.Prefix(bits); err == nil {
				if v, found := n.byPrefix[p]; found {
					return v, true
				}
			}
		}
	}
	if n.all != nil {
		return *n.all, true
	}
	return value, false
}

func newMapCIDR(_ *runtime.Builder, args runtime.Args) (runtime.Action, error) {
	var nets networks[runtime.Action]
	var inside []runtime.Child
	for _, p := range args.Pairs(0) {
		act, err := actionOf(p)
		if err != nil {
			return nil, err
		}
		keys, err := keysOf(p)
		if err != nil {
			return nil, err
		}
		for _, k := range keys {
			if err := nets.add(k, act); err != nil {
				return nil, err
			}
		}
		inside = append(inside, runtime.Child{Label: strings.Join(keys, ", "), Action: act})
	}
	return runtime.Containing(func(vr *runtime.VRequest) error {
		if act, ok := nets.find(vr.Con.Remote.Addr()); ok {
			return vr.Tail(act)
		}
		return nil
	}, inside...), nil
}
