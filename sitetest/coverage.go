package sitetest

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"sync"

	"luaserve/explain"
	"luaserve/runtime"
)

// Coverage is how much of a script's pipeline its tests have met.
type Coverage struct {
	Site   string
	Rules  int // actions, and the results of conditions that have a branch
	Met    int
	Missed []Missed // in the order of the script
}

// Percent returns how many of a hundred rules were met.
func (c *Coverage) Percent() int {
	if c.Rules == 0 {
		return 100
	}
	return 100 * c.Met / c.Rules
}

// Missed is a rule that no test has met.
type Missed struct {
	Pos runtime.Pos
	Why string // `when request.path:prefix("/a") never held`
}

// coverages collect what the tests of all sites meet. Each test loads its site anew, so a
// rule is known by its number: where it is in the pipeline.
type coverages struct {
	mu    sync.Mutex
	sites map[string]*siteCoverage
}

type siteCoverage struct {
	rules []Missed
	met   []bool
}

func newCoverages() *coverages { return &coverages{sites: map[string]*siteCoverage{}} }

// add notes what a request has met.
func (c *coverages) add(site string, rules []Missed, numbers map[*runtime.Node]number, r *explain.Result) {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.sites[site]
	if s == nil || len(s.rules) != len(rules) { // another number: the script depends on something
		s = &siteCoverage{rules, make([]bool, len(rules))}
		c.sites[site] = s
	}
	explain.EachStep(r.Steps, func(step *runtime.Step) {
		n, ok := numbers[step.Node()]
		switch {
		case !ok:
		case len(step.Tests) == 0 || step.Tests[0].Holds:
			s.met[n.first] = true
		case n.hasElse:
			s.met[n.first+1] = true
		}
	})
}

// list returns the coverage of all sites, by name.
func (c *coverages) list() []*Coverage {
	var out []*Coverage
	for site, s := range c.sites {
		cov := &Coverage{Site: site, Rules: len(s.rules)}
		for i, rule := range s.rules {
			if s.met[i] {
				cov.Met++
			} else {
				cov.Missed = append(cov.Missed, rule)
			}
		}
		slices.SortStableFunc(cov.Missed, func(a, b Missed) int {
			return cmp.Or(cmp.Compare(a.Pos.File, b.Pos.File), cmp.Compare(a.Pos.Line, b.Pos.Line))
		})
		out = append(out, cov)
	}
	slices.SortFunc(out, func(a, b *Coverage) int { return cmp.Compare(a.Site, b.Site) })
	return out
}

// number says which rules an action has.
type number struct {
	first   int
	hasElse bool
}

// rulesOf returns the rules of a pipeline, with what is said when they are missed, and the
// number of the first rule of each action. A when has one rule for when it holds, and a
// second one if it has an else. Lists are none, nor is what built-in plugins make.
func rulesOf(p *runtime.Program) (rules []Missed, numbers map[*runtime.Node]number) {
	numbers = map[*runtime.Node]number{}
	seen := map[*runtime.Node]bool{} // those without a number: an action may be used at many places
	var walk func(t runtime.Tree)
	walk = func(t runtime.Tree) {
		if _, numbered := numbers[t.Node]; numbered || t.Node == nil || seen[t.Node] {
			return
		}
		children := t.Children()
		if pos := t.Node.Pos; pos.File != "" && !strings.HasPrefix(pos.File, "luaserve:") {
			n := number{first: len(rules)}
			if cond := t.Condition(); cond != nil {
				rules = append(rules, Missed{pos, fmt.Sprintf("when %s never held", cond)})
				if slices.ContainsFunc(children, func(c runtime.Tree) bool { return c.Label == "else" }) {
					n.hasElse = true
					rules = append(rules, Missed{pos, fmt.Sprintf("when %s always held", cond)})
				}
			} else {
				rules = append(rules, Missed{pos, t.Node.Name + " was not reached"})
			}
			numbers[t.Node] = n
		} else {
			seen[t.Node] = true
		}
		for _, c := range children {
			walk(c)
		}
	}
	walk(p.Pipeline())
	return rules, numbers
}
