package luastring

// set is a set of bytes.
type set [4]uint64

func (s *set) has(b byte) bool { return s[b>>6]>>(b&63)&1 != 0 }

func (s *set) add(b byte) { s[b>>6] |= 1 << (b & 63) }

func (s *set) addRange(from, to byte) {
	for b := int(from); b <= int(to); b++ {
		s.add(byte(b))
	}
}

func (s *set) addAll(of *set) {
	for i := range s {
		s[i] |= of[i]
	}
}

func (s *set) complement() {
	for i := range s {
		s[i] = ^s[i]
	}
}

// classes are the sets of the classes %a, %A and so on, by their letter: the characters
// that C's <ctype.h> knows in the C locale. Other letters have none.
var classes = func() (table [256]*set) {
	define := func(letter byte, ranges ...byte) {
		class := &set{}
		for i := 0; i < len(ranges); i += 2 {
			class.addRange(ranges[i], ranges[i+1])
		}
		table[letter] = class
		rest := *class
		rest.complement()
		table[letter-'a'+'A'] = &rest
	}
	define('a', 'A', 'Z', 'a', 'z')
	define('c', 0, 31, 127, 127)
	define('d', '0', '9')
	define('l', 'a', 'z')
	define('p', '!', '/', ':', '@', '[', '`', '{', '~')
	define('s', '\t', '\r', ' ', ' ')
	define('u', 'A', 'Z')
	define('w', '0', '9', 'A', 'Z', 'a', 'z')
	define('x', '0', '9', 'A', 'F', 'a', 'f')
	define('z', 0, 0)
	return
}()

// parseSet reads the text of a set, from behind its opening bracket to its closing one. A %
// that was the end of a range may be followed by the closing bracket, and takes it along.
func parseSet(text string) (s set) {
	last := len(text) - 1
	negated := text[0] == '^'
	i := 0
	if negated {
		i = 1
	}
	for ; i < last; i++ {
		switch {
		case text[i] == '%':
			i++
			if class := classes[text[i]]; class != nil {
				s.addAll(class)
			} else {
				s.add(text[i])
			}
		case i+2 < last && text[i+1] == '-':
			s.addRange(text[i], text[i+2])
			i += 2
		default:
			s.add(text[i])
		}
	}
	if negated {
		s.complement()
	}
	return s
}
