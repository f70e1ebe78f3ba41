package runtime

// RegexSet finds the first of many regular expressions that matches. What it costs does
// not grow with their number as long as they have some text in them that a subject must
// have. It is safe for concurrent use.
type RegexSet struct {
	regexes []*Regex
	index   *index // nil for a few, and for a set that is made for one request
}

// RegexSet makes a set; a nil expression matches always.
func (b *Builder) RegexSet(regexes []*Regex) *RegexSet {
	s := &RegexSet{regexes: regexes}
	if len(regexes) < minRules || !b.mayIndex() {
		return s
	}
	rules := make([][]needs, len(regexes))
	for i, re := range regexes {
		if re != nil {
			rules[i] = textNeedsOf(LValue{}, re.needs())
		}
	}
	s.index = newIndex(rules)
	return s
}

// Match returns the position of the first expression that matches subject, -1 for none.
func (s *RegexSet) Match(subject string) int {
	if s.index == nil {
		for i := range s.regexes {
			if s.matches(i, subject) {
				return i
			}
		}
		return -1
	}
	c := cursor{index: s.index, always: s.index.always}
	c.values[0] = reading{text: subject, known: true}
	c.ask()
	i := c.rule()
	for i >= 0 && !s.matches(int(i), subject) {
		i = c.rule()
	}
	return int(i)
}

func (s *RegexSet) matches(i int, subject string) bool {
	return s.regexes[i] == nil || s.regexes[i].Matches(subject)
}
