package runtime

// A piece of a script in which there is nothing but constants, names, tables and calls, as in
// most of a configuration, is not compiled. It runs once, and its syntax tree and its code
// would take several times as long to make, and leave several times as much garbage, as what
// they do. It is read into plain nodes, and those are followed (plain_run.go). A piece with
// anything else in it, an operator or a function, is left to gopher-lua, and so is what is
// wrong.

const (
	maxPlain      = 64 << 10 // bytes; a longer piece is compiled, with pieces of its own
	maxPlainDepth = 60
)

type plainKind uint8

const (
	plainNil plainKind = iota
	plainFalse
	plainTrue
	plainNumber
	plainString
	plainTable  // of its children, all of which are fields, or none
	plainField  // name = child
	plainName   // of a variable
	plainIndex  // child.name
	plainKey    // child["text"]
	plainCall   // the first child, called with the others
	plainMethod // child:name, called with the other children
)

// plainNode is a part of an expression. It has no pointers: the collector need not look at
// thousands of them.
type plainNode struct {
	kind        plainKind
	line        int32 // where it begins, as gopher-lua counts: a call begins with what is called
	start       int32 // of names and indexes of names: where the first name is; -1 if there is more than names and dots
	from, to    int32 // of a string, a key and a field: its place in texts; of others: in the script
	first, next int32 // its first child, its next sibling; 0 for none
}

// plainPiece is a piece that was read. Its outermost node, a table, is the first one.
type plainPiece struct {
	nodes []plainNode
	src   []byte
	texts string // all strings
}

// plainReader reads a piece. It may be used again when the piece has run.
type plainReader struct {
	plainPiece
	buffer []byte // what is in texts when it is read
	at     int
	line   int32
	depth  int
}

// read reads a table, or the fields of one. Without ok it must be compiled.
func (r *plainReader) read(src []byte, fields bool) (ok bool) {
	if len(src) > maxPlain {
		return false
	}
	*r = plainReader{plainPiece: plainPiece{nodes: r.nodes[:0], src: src}, buffer: r.buffer[:0], line: 1}
	if fields {
		r.add(plainTable)
		ok = r.fields(0, endOfText)
	} else {
		ok = r.skip() == '{' && r.table() == 0
	}
	r.texts = string(r.buffer)
	return ok && r.skip() == endOfText
}

// notPlain is returned in the place of a node, or of the next byte.
const notPlain = -1

// endOfText is returned in the place of the next byte. A script that has a byte like that
// is not plain.
const endOfText = 0

func (r *plainReader) add(kind plainKind) int32 {
	r.nodes = append(r.nodes, plainNode{kind: kind, line: r.line, start: -1})
	return int32(len(r.nodes) - 1)
}

// skip skips space and comments, and returns the byte that follows.
func (r *plainReader) skip() int {
	for r.at < len(r.src) {
		switch c := r.src[r.at]; c {
		case ' ', '\t':
			r.at++
		case '\n':
			r.at++
			r.line++
		case '\r':
			if r.peek(1) != '\n' {
				return notPlain
			}
			r.at++
		case '-':
			if r.peek(1) != '-' {
				return int(c)
			}
			if r.peek(2) == '[' {
				return notPlain
			}
			for r.at < len(r.src) && r.src[r.at] != '\n' {
				r.at++
			}
		case endOfText:
			return notPlain
		default:
			return int(c)
		}
	}
	return endOfText
}

// peek returns a byte behind the next one.
func (r *plainReader) peek(n int) int {
	if r.at+n < len(r.src) {
		return int(r.src[r.at+n])
	}
	return endOfText
}

// take goes on behind a byte, if it is the next one.
func (r *plainReader) take(c int) bool {
	if r.skip() != c {
		return false
	}
	r.at++
	return true
}

// table reads a table from its brace on.
func (r *plainReader) table() int32 {
	n := r.add(plainTable)
	r.at++
	if r.depth++; r.depth > maxPlainDepth || !r.fields(n, '}') {
		return notPlain
	}
	r.depth--
	r.at++
	return n
}

// fields reads the fields of a table up to closer.
func (r *plainReader) fields(table int32, closer int) bool {
	last := int32(0)
	var keys map[string]bool
	listed := false
	for c := r.skip(); c != closer; c = r.skip() {
		n, named := r.field()
		if n == notPlain {
			return false
		}
		if named {
			key := string(r.buffer[r.nodes[n].from:r.nodes[n].to])
			if keys[key] { // which of the two counts is left to gopher-lua
				return false
			}
			if keys == nil {
				keys = map[string]bool{}
			}
			keys[key] = true
		}
		if listed = listed || !named; listed && keys != nil {
			return false
		}
		last = r.append(table, last, n)
		switch r.skip() {
		case ',', ';':
			r.at++
		case closer:
		default:
			return false
		}
	}
	return true
}

// append adds a child behind the last one, and returns it.
func (r *plainReader) append(to, last, child int32) int32 {
	if last == 0 {
		r.nodes[to].first = child
	} else {
		r.nodes[last].next = child
	}
	return child
}

// field reads a field; named says that it is name = value or ["name"] = value.
func (r *plainReader) field() (n int32, named bool) {
	switch c := r.skip(); {
	case c == '[':
		n = r.add(plainField)
		r.at++
		if !r.text(n) || !r.take(']') || !r.take('=') || r.peek(0) == '=' {
			return notPlain, false
		}
	case c > 0 && isLetter(byte(c)):
		at, line := r.at, r.line
		n = r.add(plainField)
		name := r.name()
		if r.skip() != '=' || r.peek(1) == '=' || isKeyword(name) {
			r.at, r.line, r.nodes = at, line, r.nodes[:n]
			return r.expression(), false
		}
		r.at++
		r.nodes[n].from = int32(len(r.buffer))
		r.buffer = append(r.buffer, name...)
		r.nodes[n].to = int32(len(r.buffer))
	default:
		return r.expression(), false
	}
	value := r.expression()
	if value == notPlain {
		return notPlain, false
	}
	r.nodes[n].first = value
	return n, true
}

// name reads a word.
func (r *plainReader) name() []byte {
	from := r.at
	for r.at < len(r.src) && (isLetter(r.src[r.at]) || isDigit(r.src[r.at])) {
		r.at++
	}
	return r.src[from:r.at]
}

// expression reads a value.
func (r *plainReader) expression() int32 {
	c := r.skip()
	switch {
	case c == '"' || c == '\'':
		n := r.add(plainString)
		if !r.text(n) {
			return notPlain
		}
		return n
	case c == '{':
		return r.table()
	case c == '-' || c > 0 && isDigit(byte(c)):
		return r.number()
	case c > 0 && isLetter(byte(c)):
		return r.variable()
	}
	return notPlain
}

// variable reads what begins with a name.
func (r *plainReader) variable() int32 {
	n, from := r.add(plainName), r.at
	word := r.name()
	switch string(word) {
	case "nil":
		r.nodes[n].kind = plainNil
		return n
	case "true":
		r.nodes[n].kind = plainTrue
		return n
	case "false":
		r.nodes[n].kind = plainFalse
		return n
	}
	if isKeyword(word) {
		return notPlain
	}
	node := &r.nodes[n]
	node.start, node.from, node.to = int32(from), int32(from), int32(r.at)
	for n != notPlain {
		line := r.line
		behind := r.at
		switch c := r.skip(); {
		case c == '.':
			n = r.index(n, r.at == behind)
		case c == '[':
			n = r.key(n)
		case c == ':':
			n = r.method(n)
		case c == '(' && r.line != line: // another statement, perhaps
			return notPlain
		case opensArguments(c):
			n = r.arguments(r.around(plainCall, n), n)
		default:
			return n
		}
	}
	return n
}

func opensArguments(c int) bool { return c == '(' || c == '{' || c == '"' || c == '\'' }

// around makes a node with a first child, which begins where that one does.
func (r *plainReader) around(kind plainKind, child int32) int32 {
	n := r.add(kind)
	r.nodes[n].line = r.nodes[child].line
	r.nodes[n].first = child
	return n
}

// index reads a dot with a name; close says that nothing stands before the dot.
func (r *plainReader) index(child int32, close bool) int32 {
	n := r.around(plainIndex, child)
	r.at++
	close = close && r.at < len(r.src) && isLetter(r.src[r.at])
	if c := r.skip(); c <= 0 || !isLetter(byte(c)) {
		return notPlain
	}
	from := r.at
	if isKeyword(r.name()) {
		return notPlain
	}
	node := &r.nodes[n]
	node.from, node.to = int32(from), int32(r.at)
	if close {
		node.start = r.nodes[child].start
	}
	return n
}

// key reads ["name"].
func (r *plainReader) key(child int32) int32 {
	n := r.around(plainKey, child)
	r.at++
	if !r.text(n) || !r.take(']') {
		return notPlain
	}
	return n
}

// method reads :name and the arguments behind it.
func (r *plainReader) method(object int32) int32 {
	n := r.around(plainMethod, object)
	r.at++
	if c := r.skip(); c <= 0 || !isLetter(byte(c)) {
		return notPlain
	}
	from := r.at
	if isKeyword(r.name()) {
		return notPlain
	}
	r.nodes[n].from, r.nodes[n].to = int32(from), int32(r.at)
	line := r.line
	if c := r.skip(); !opensArguments(c) || c == '(' && r.line != line {
		return notPlain
	}
	return r.arguments(n, object)
}

// arguments reads those of a call; last is the child that the call has already.
func (r *plainReader) arguments(call, last int32) int32 {
	if r.src[r.at] != '(' {
		n := r.expressionAlone()
		if n == notPlain {
			return notPlain
		}
		r.append(call, last, n)
		return call
	}
	r.at++
	if r.depth++; r.depth > maxPlainDepth {
		return notPlain
	}
	for first := true; r.skip() != ')'; first = false {
		if !first && !r.take(',') {
			return notPlain
		}
		n := r.expression()
		if n == notPlain {
			return notPlain
		}
		last = r.append(call, last, n)
	}
	r.depth--
	r.at++
	return call
}

// expressionAlone reads a string or a table that is the only argument.
func (r *plainReader) expressionAlone() int32 {
	if r.src[r.at] == '{' {
		return r.table()
	}
	n := r.add(plainString)
	if !r.text(n) {
		return notPlain
	}
	return n
}

// number reads a decimal number that anybody reads alike.
func (r *plainReader) number() int32 {
	n, from := r.add(plainNumber), r.at
	if r.src[r.at] == '-' {
		r.at++
	}
	digits := r.digits()
	if digits == 0 || digits > 1 && r.src[r.at-digits] == '0' {
		return notPlain
	}
	if r.peek(0) == '.' {
		r.at++
		more := r.digits()
		if more == 0 {
			return notPlain
		}
		digits += more
	}
	if c := r.peek(0); digits > 15 || c == '.' || isLetter(byte(c)) {
		return notPlain
	}
	r.nodes[n].from, r.nodes[n].to = int32(from), int32(r.at)
	return n
}

func (r *plainReader) digits() (n int) {
	for ; r.at < len(r.src) && isDigit(r.src[r.at]); n++ {
		r.at++
	}
	return n
}

// text reads a string in quotes, which is that of a node.
func (r *plainReader) text(n int32) bool {
	quote := r.skip()
	if quote != '"' && quote != '\'' {
		return false
	}
	from := int32(len(r.buffer))
	for r.at++; r.at < len(r.src); r.at++ {
		c := r.src[r.at]
		switch {
		case int(c) == quote:
			r.at++
			r.nodes[n].from, r.nodes[n].to = from, int32(len(r.buffer))
			return true
		case c == '\n' || c == '\r':
			return false
		case c == '\\':
			var ok bool
			r.at++
			if c, ok = r.escape(); !ok {
				return false
			}
		}
		r.buffer = append(r.buffer, c)
	}
	return false
}

// escape reads what is behind a backslash, and stops at the last byte of it.
func (r *plainReader) escape() (c byte, ok bool) {
	if r.at == len(r.src) {
		return 0, false
	}
	switch c = r.src[r.at]; {
	case c == 'n':
		return '\n', true
	case c == 'r':
		return '\r', true
	case c == 't':
		return '\t', true
	}
	return c, ' ' < c && c < 0x7f && !isLetter(c) && !isDigit(c) // what is seldom is left to gopher-lua
}
