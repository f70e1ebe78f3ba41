package runtime

// LoadOneByOne is Load without indexes: lists and chains of else test their conditions
// one after another.
func LoadOneByOne(file string, cfg Config) (*Program, error) {
	p, err := newProgram(cfg)
	if err != nil {
		return nil, err
	}
	p.name, p.oneByOne = file, true
	return p, p.load(file)
}

// Indexed returns how many rules of the script's outermost list or chain an index can
// leave out.
func (p *Program) Indexed() int {
	switch a := p.root.Act.(type) {
	case *ruleList:
		return len(a.actions) - len(a.index.always)
	case *ruleChain:
		return len(a.whens) - len(a.index.always)
	}
	return 0
}

// SharesLook reports whether a look at the file watch may be one that was taken for several requests.
func (p *Physical) SharesLook() bool { return p.batch() != nil }
