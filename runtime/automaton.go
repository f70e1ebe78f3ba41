package runtime

import (
	"cmp"
	"slices"
	"strings"
)

// automaton finds which of many texts a value has in it, in one pass over the value (Aho
// and Corasick, 1975). Its nodes are numbered level by level, so that the children of a
// node have neighbouring numbers and no node needs a table of its own.
type automaton struct {
	letters string  // by node: the letter that leads to it
	child   []int32 // by node: its first child; those of the next node follow its last
	back    []int32 // by node: where to go on when no child has the letter
	report  []int32 // by node: the nearest node on the way back that ends a text, itself included; 0 for none
	first   []int32 // by node: its first rule; those of the next node follow its last
	rules   []int32 // ascending for each node
}

func newAutomaton(entries []entry) *automaton {
	slices.SortFunc(entries, func(a, b entry) int {
		return cmp.Or(strings.Compare(a.text, b.text), cmp.Compare(a.rule, b.rule))
	})
	entries = slices.Compact(entries)
	a := &automaton{}
	type span struct{ from, to, depth int } // the entries whose texts begin with the node's
	nodes := []span{{0, len(entries), 0}}
	letters := []byte{0}
	for i := 0; i < len(nodes); i++ {
		n := nodes[i]
		a.child = append(a.child, int32(len(nodes)))
		a.first = append(a.first, int32(len(a.rules)))
		for n.from < n.to && len(entries[n.from].text) == n.depth {
			a.rules = append(a.rules, entries[n.from].rule)
			n.from++
		}
		for n.from < n.to {
			letter, to := entries[n.from].text[n.depth], n.from+1
			for to < n.to && entries[to].text[n.depth] == letter {
				to++
			}
			nodes = append(nodes, span{n.from, to, n.depth + 1})
			letters = append(letters, letter)
			n.from = to
		}
	}
	a.child = slices.Clip(append(a.child, int32(len(nodes))))
	a.first = slices.Clip(append(a.first, int32(len(a.rules))))
	a.letters = string(letters)
	a.link()
	return a
}

// link finds for each node the longest other text that the way to it ends with.
func (a *automaton) link() {
	count := len(a.letters)
	a.back, a.report = make([]int32, count), make([]int32, count)
	for n := range int32(count) {
		for c := a.child[n]; c < a.child[n+1]; c++ {
			if n != 0 {
				a.back[c] = a.next(a.back[n], a.letters[c])
			}
			a.report[c] = a.report[a.back[c]]
			if a.first[c] < a.first[c+1] {
				a.report[c] = c
			}
		}
	}
}

// next returns the node that letter leads to.
func (a *automaton) next(n int32, letter byte) int32 {
	for {
		if i := strings.IndexByte(a.letters[a.child[n]:a.child[n+1]], letter); i >= 0 {
			return a.child[n] + int32(i)
		}
		if n == 0 {
			return 0
		}
		n = a.back[n]
	}
}

// collect is [textIndex.collect].
func (a *automaton) collect(value string, from int32, f *found) {
	n := int32(0)
	for i := 0; i < len(value); i++ {
		n = a.next(n, lower[value[i]])
		for r := a.report[n]; r != 0; r = a.report[a.back[r]] {
			rules := a.rules[a.first[r]:a.first[r+1]]
			at, _ := slices.BinarySearch(rules, from)
			for _, rule := range rules[at:] {
				if !f.add(rule) {
					break
				}
			}
		}
	}
}
