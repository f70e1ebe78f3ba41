package runtime

import (
	"regexp/syntax"
	"slices"
	"strings"
)

// What a regular expression needs: the texts that a subject must have before it can match.
// The expression is read as a sequence of parts: texts (one of a few), and gaps of which
// nothing is known. Texts next to each other are joined; the first one behind a ^ is a
// prefix, the last one before a $ a suffix, all others are somewhere within.

// part is a piece of an expression.
type part struct {
	kind  partKind
	texts []string
}

type partKind uint8

const (
	partTexts partKind = iota // one of texts
	partGap                   // anything
	partSome                  // anything that has one of texts in it
	partBegin                 // ^
	partEnd                   // $
)

const (
	maxTexts = 64 // alternatives that are still looked at one by one
	maxClass = 4  // letters of a class that are
)

var (
	gap   = part{kind: partGap}
	empty = part{kind: partTexts, texts: []string{""}}
)

// regexNeeds returns what an expression needs, in the form of [Condition.needsFor].
func regexNeeds(expr string) [][]textNeed {
	if !isASCII(expr) {
		return nil // there are two expressions then, one for subjects in ASCII; see Regex
	}
	re, err := syntax.Parse(expr, syntax.Perl)
	if err != nil {
		return nil
	}
	return needsOfParts(appendParts(nil, re))
}

// appendParts appends what re consists of.
func appendParts(parts []part, re *syntax.Regexp) []part {
	switch re.Op {
	case syntax.OpEmptyMatch, syntax.OpBeginLine, syntax.OpEndLine, syntax.OpWordBoundary, syntax.OpNoWordBoundary:
		return append(parts, empty)
	case syntax.OpBeginText:
		return append(parts, part{kind: partBegin})
	case syntax.OpEndText:
		return append(parts, part{kind: partEnd})
	case syntax.OpLiteral:
		for _, r := range re.Rune {
			parts = append(parts, classPart([]rune{r, r}))
		}
		return parts
	case syntax.OpCharClass:
		return append(parts, classPart(re.Rune))
	case syntax.OpCapture:
		return appendParts(parts, re.Sub[0])
	case syntax.OpConcat:
		for _, sub := range re.Sub {
			parts = appendParts(parts, sub)
		}
		return parts
	case syntax.OpPlus:
		return append(appendParts(parts, re.Sub[0]), gap)
	case syntax.OpRepeat:
		if re.Min > 0 {
			return append(appendParts(parts, re.Sub[0]), gap)
		}
	case syntax.OpQuest:
		if texts, ok := textsOf(appendParts(nil, re.Sub[0])); ok {
			return append(parts, part{partTexts, append([]string{""}, texts...)})
		}
	case syntax.OpAlternate:
		return append(parts, alternatives(re.Sub))
	}
	return append(parts, gap)
}

// classPart is the part of a class of characters, given as ranges. A subject is bytes, so
// that what is above is never met.
func classPart(ranges []rune) part {
	var texts []string
	for i := 0; i < len(ranges); i += 2 {
		for r := ranges[i]; r <= min(ranges[i+1], 0xff); r++ {
			if r >= 0x80 || len(texts) > maxClass {
				return gap
			}
			if text := string(lower[byte(r)]); !slices.Contains(texts, text) {
				texts = append(texts, text)
			}
		}
	}
	if len(texts) == 0 || len(texts) > maxClass {
		return gap
	}
	return part{partTexts, texts}
}

// textsOf returns all texts that parts can match, when they are few.
func textsOf(parts []part) ([]string, bool) {
	texts := []string{""}
	for _, p := range parts {
		switch p.kind {
		case partTexts:
			if texts = joined(texts, p.texts); texts == nil {
				return nil, false
			}
		case partBegin, partEnd: // they allow less, not more
		default:
			return nil, false
		}
	}
	return texts, true
}

// alternatives is the part of subs[0]|subs[1]|…: all texts of all of them, or else texts
// one of which each match has in it.
func alternatives(subs []*syntax.Regexp) part {
	var all, some []string
	few, known := true, true
	for _, sub := range subs {
		parts := appendParts(nil, sub)
		texts, ok := textsOf(parts)
		all, few = append(all, texts...), few && ok
		texts = longest(needsOfParts(parts))
		some, known = append(some, texts...), known && texts != nil
	}
	switch {
	case few && len(all) <= maxTexts:
		return part{partTexts, all}
	case known && len(some) <= maxTexts:
		return part{partSome, some}
	}
	return gap
}

// longest returns the texts of the need whose shortest text is the longest.
func longest(choices [][]textNeed) (best []string) {
	most := -1
	for _, c := range choices {
		texts, least := make([]string, len(c)), len(c[0].text)
		for i, n := range c {
			texts[i], least = n.text, min(least, len(n.text))
		}
		if least > most {
			best, most = texts, least
		}
	}
	return best
}

// joined returns each of a with each of b behind it, nil when those are too many.
func joined(a, b []string) []string {
	if len(a)*len(b) > maxTexts {
		return nil
	}
	out := make([]string, 0, len(a)*len(b))
	for _, x := range a {
		for _, y := range b {
			out = append(out, x+y)
		}
	}
	return out
}

// needsOfParts joins neighbouring texts and says where they must be.
func needsOfParts(parts []part) [][]textNeed {
	var out [][]textNeed
	begin, run := false, []string{""}
	flush := func(end bool) {
		if n := runNeeds(run, begin, end); n != nil {
			out = append(out, n)
		}
		begin, run = false, []string{""}
	}
	for i, p := range parts {
		switch p.kind {
		case partBegin:
			begin = begin || i == 0
		case partEnd:
			if i == len(parts)-1 {
				flush(true)
				return out
			}
		case partTexts:
			if more := joined(run, p.texts); more != nil {
				run = more
			} else {
				flush(false)
				run = p.texts
			}
		case partGap, partSome:
			flush(false)
			if n := runNeeds(p.texts, false, false); n != nil {
				out = append(out, n)
			}
		}
	}
	flush(false)
	return out
}

// runNeeds returns the need for one of texts, nil when it says too little.
func runNeeds(texts []string, begin, end bool) []textNeed {
	where, least := isWithin, 2 // nearly every subject has any one letter somewhere
	switch {
	case begin && end:
		where, least = isEqual, 0
	case begin:
		where, least = isPrefix, 1
	case end:
		where, least = isSuffix, 1
	}
	out := make([]textNeed, 0, len(texts))
	for _, t := range texts {
		if len(t) < least {
			return nil
		}
		n := textNeed{where, strings.Clone(t)}
		if !slices.Contains(out, n) {
			out = append(out, n)
		}
	}
	if len(out) == 0 {
		return nil
	}
	return out
}
