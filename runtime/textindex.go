package runtime

import (
	"cmp"
	"net/netip"
	"slices"
	"sort"
)

// textIndex finds the rules whose texts a value has in the right place. Its answers may
// hold a rule too many, never one too few.
type textIndex struct {
	table  textTable
	within *automaton // nil when no text may be just anywhere
}

// entry is a text of a rule.
type entry struct {
	textNeed
	rule int32
}

func newTextIndex(entries []entry) textIndex {
	var anchored, within []entry
	for _, e := range entries {
		if e.place == isWithin {
			within = append(within, e)
		} else {
			anchored = append(anchored, e)
		}
	}
	x := textIndex{table: newTextTable(anchored)}
	if len(within) > 0 {
		x.within = newAutomaton(within)
	}
	return x
}

// collect adds the rules from rule number from on that value may matter to.
func (x *textIndex) collect(value string, from int32, f *found) {
	x.table.collect(value, from, f)
	if x.within != nil {
		x.within.collect(value, from, f)
	}
}

// found holds the first rules of those that were found, in order.
type found struct {
	rules [16]int32
	n     int
	more  bool // there are others behind the last one
}

// add takes a rule in. It reports whether the next higher ones are of interest.
func (f *found) add(rule int32) bool {
	i := f.n
	for i > 0 && f.rules[i-1] > rule {
		i--
	}
	switch {
	case i > 0 && f.rules[i-1] == rule:
		return true
	case f.n == len(f.rules):
		f.more = true
		if i == f.n {
			return false
		}
	default:
		f.n++
	}
	copy(f.rules[i+1:f.n], f.rules[i:])
	f.rules[i] = rule
	return true
}

// textTable is a hash table for whole values, beginnings and ends, and networks. It keeps the hashes of
// the texts only, so that it takes the same few bytes for each rule however long the texts
// are: a value of another text with the same hash is a rule too many.
//
// Beginnings and ends of a value are looked up for each length that a text has. The hash
// of a beginning continues that of a shorter one, so a value is read once.
type textTable struct {
	equals, prefixes, suffixes []int32 // the lengths of the texts, ascending
	bits4, bits6               []int32 // those of networks, in bits

	slots  []int32  // 1 + the first of the hashes that belong here; 0 for none. A power of 2.
	hashes []uint32 // ascending
	rules  []int32  // by hash; ascending for each hash
}

func newTextTable(entries []entry) textTable {
	var t textTable
	if len(entries) == 0 {
		return t
	}
	type hashed struct {
		hash uint32
		rule int32
	}
	all := make([]hashed, len(entries))
	for i, e := range entries {
		lengths, n := t.lengthsOf(e.textNeed)
		*lengths = append(*lengths, n)
		all[i] = hashed{hashOf(e.place, e.text), e.rule}
	}
	for _, lengths := range []*[]int32{&t.equals, &t.prefixes, &t.suffixes, &t.bits4, &t.bits6} {
		slices.Sort(*lengths)
		*lengths = slices.Clip(slices.Compact(*lengths))
	}
	slices.SortFunc(all, func(a, b hashed) int {
		return cmp.Or(cmp.Compare(a.hash, b.hash), cmp.Compare(a.rule, b.rule))
	})
	size := 1
	for size < 2*len(all) {
		size *= 2
	}
	t.slots = make([]int32, size)
	t.hashes, t.rules = make([]uint32, len(all)), make([]int32, len(all))
	for i, e := range all {
		t.hashes[i], t.rules[i] = e.hash, e.rule
		if i > 0 && all[i-1].hash == e.hash {
			continue
		}
		slot := e.hash
		for t.slots[slot&uint32(size-1)] != 0 {
			slot++
		}
		t.slots[slot&uint32(size-1)] = int32(i + 1)
	}
	return t
}

// lengthsOf returns the list that the length of a text belongs into, and the length.
func (t *textTable) lengthsOf(n textNeed) (list *[]int32, length int32) {
	switch length = int32(len(n.text)); n.place {
	case isPrefix:
		return &t.prefixes, length
	case isSuffix:
		return &t.suffixes, length
	case isInNetwork:
		bits := int32(n.text[length-1])
		if length == net4Text {
			return &t.bits4, bits
		}
		return &t.bits6, bits
	}
	return &t.equals, length
}

// net4Text is the length of [networkText] for IPv4.
const net4Text = 5

// collectAddress adds the rules from rule number from on for networks that a is in.
func (t *textTable) collectAddress(a netip.Addr, from int32, f *found) {
	lengths := t.bits6
	if a.Is4() {
		lengths = t.bits4
	}
	for _, bits := range lengths {
		if p, err := a.Prefix(int(bits)); err == nil {
			t.lookUp(networkHash(p), from, f)
		}
	}
}

// collect is [textIndex.collect].
func (t *textTable) collect(value string, from int32, f *found) {
	hash, at := seed, 0
	for _, n := range t.prefixes {
		if int(n) > len(value) {
			break
		}
		hash, at = forward(hash, value[at:n]), int(n)
		t.lookUp(finish(hash, isPrefix), from, f)
	}
	if _, ok := slices.BinarySearch(t.equals, int32(len(value))); ok {
		t.lookUp(finish(forward(hash, value[at:]), isEqual), from, f)
	}
	hash, at = seed, 0
	for _, n := range t.suffixes {
		if int(n) > len(value) {
			break
		}
		hash, at = backward(hash, value[len(value)-int(n):len(value)-at]), int(n)
		t.lookUp(finish(hash, isSuffix), from, f)
	}
}

func (t *textTable) lookUp(hash uint32, from int32, f *found) {
	mask := uint32(len(t.slots) - 1)
	for slot := hash; ; slot++ {
		i := int(t.slots[slot&mask]) - 1
		if i < 0 {
			return
		}
		if t.hashes[i] != hash {
			continue
		}
		if t.rules[i] < from {
			i += sort.Search(len(t.rules)-i, func(j int) bool { return t.hashes[i+j] != hash || t.rules[i+j] >= from })
		}
		for ; i < len(t.rules) && t.hashes[i] == hash && f.add(t.rules[i]); i++ {
		}
		return
	}
}

// The hash is FNV-1a over the lower-case letters, mixed once more at the end. Nobody gains
// from finding two texts with the same one: they cost the test of one more condition.
const (
	seed  uint32 = 2166136261
	prime uint32 = 16777619
)

func forward(hash uint32, s string) uint32 {
	for i := 0; i < len(s); i++ {
		hash = (hash ^ uint32(lower[s[i]])) * prime
	}
	return hash
}

func backward(hash uint32, s string) uint32 {
	for i := len(s) - 1; i >= 0; i-- {
		hash = (hash ^ uint32(lower[s[i]])) * prime
	}
	return hash
}

func finish(hash uint32, p place) uint32 {
	hash ^= uint32(p+1) * 0x9e3779b9
	hash = (hash ^ hash>>16) * 0x85ebca6b
	return hash ^ hash>>13
}

func hashOf(p place, text string) uint32 {
	switch p {
	case isSuffix:
		return finish(backward(seed, text), p)
	case isInNetwork:
		bits := int(text[len(text)-1])
		a, _ := netip.AddrFromSlice([]byte(text[:len(text)-1]))
		return networkHash(netip.PrefixFrom(a, bits))
	}
	return finish(forward(seed, text), p)
}

// networkHash is the hash of a network whose address has no other bits.
func networkHash(p netip.Prefix) uint32 {
	hash := (seed ^ uint32(p.Bits())) * prime
	for _, b := range p.Addr().As16() {
		hash = (hash ^ uint32(b)) * prime
	}
	return finish(hash, isInNetwork)
}
