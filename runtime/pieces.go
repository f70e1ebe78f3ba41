package runtime

import (
	"bytes"
	"io"
	goruntime "runtime"
	"slices"
	"strconv"
	"strings"
	"sync"

	lua "github.com/yuin/gopher-lua"
	"github.com/yuin/gopher-lua/parse"
)

// A large script is compiled in pieces. gopher-lua looks each constant of a function up
// among all others of it, one by one, so that 200,000 rules in one function took it a
// minute; and its syntax tree and code take many times the memory of the rules themselves.
//
// Table constructors of a moderate size are therefore cut out of the script and compiled
// when it comes by; longer ones are compiled some fields at a time (pieces_fields.go). In
// their place it has a function that knows the local variables the piece names; from it
// the piece gets them. Tables within functions, loops and blocks stay.
// A piece without any code in it is not compiled but followed as it is (plain.go).
// For what a script does, and for the lines in messages, there is no difference, but that
// what comes before a syntax error in a piece has run, and that tracebacks and error with a
// level above 2 see the functions in between.

const (
	largeScript = 256 << 10 // bytes; below that a script is compiled as a whole
	maxNames    = 100       // that a piece may use
	batchSize   = 16
)

// pieceSizes says what is cut out of a script, in bytes.
type pieceSizes struct {
	least, most int // of a table that is compiled at once
	cut         int // of the fields of a longer one that are, unless a single one has more
}

var usualPieces = pieceSizes{least: 256, most: 16 << 10, cut: 4 << 10}

// cutScript is a script that is compiled in pieces.
type cutScript struct {
	name   string
	concat *lua.LFunction // see compile
	sizes  *pieceSizes
	plain  plainRun
	spare  sync.Pool // readers of plain pieces that have run
}

// scriptPiece is a table constructor of a large script, or some fields of a longer one.
type scriptPiece struct {
	script *cutScript
	text   []byte
	line   int      // of its first byte
	locals []string // the local variables of the script that it names
	batch  *pieceBatch

	parts  []*scriptPiece // the fields of a constructor that is too long, some at a time
	fields bool           // of the parts: text has no braces
	listed int            // and how many of its fields have no key

	compiled bool         // until it has run
	plain    *plainReader // in the place of proto
	proto    *lua.FunctionProto
	err      error
}

// pieceBatch is some pieces that are compiled one after another, while the script runs
// those before.
type pieceBatch struct {
	pieces []*scriptPiece
	next   *pieceBatch
	once   sync.Once
	done   sync.WaitGroup
}

// pieceMark begins the first constant that the function in the place of a piece has.
const pieceMark = "\x00piece "

// compileInPieces compiles a large script. Without ok it must be compiled as a whole, also
// to find out what is wrong with it.
func compileInPieces(src []byte, script *cutScript) (proto *lua.FunctionProto, ok bool) {
	s := &pieceScanner{src: src, line: 1, sizes: script.sizes}
	if !s.find() || len(s.pieces) == 0 {
		return nil, false
	}
	chunk, err := parse.Parse(bytes.NewReader(s.rest()), script.name)
	if err != nil {
		return nil, false
	}
	if proto, err = compileChunk(chunk, script.name, script.concat); err != nil || repairTables(proto) != nil {
		return nil, false
	}
	return proto, s.scriptPieces(script, 1).putInto(proto)
}

// foundPieces are the pieces of one text.
type foundPieces []*scriptPiece

// scriptPieces makes the pieces that were found in a text of the script that begins at line.
func (s *pieceScanner) scriptPieces(script *cutScript, line int) foundPieces {
	pieces := make(foundPieces, len(s.pieces))
	var all []*scriptPiece // that are compiled, in the order in which they run
	for i, found := range s.pieces {
		p := &scriptPiece{script: script, text: s.src[found.from:found.to], line: line - 1 + found.line}
		for _, cut := range found.cuts {
			p.parts = append(p.parts, &scriptPiece{script: script, text: s.src[cut.from:cut.to], line: line - 1 + cut.line,
				fields: true, listed: cut.listed})
		}
		pieces[i] = p
		if all = append(all, p.parts...); p.parts == nil {
			all = append(all, p)
		}
	}
	var next *pieceBatch
	for batch := range slices.Chunk(all, batchSize) {
		b := &pieceBatch{pieces: batch}
		for _, p := range batch {
			p.batch = b
		}
		if next != nil {
			next.next = b
		}
		next = b
	}
	return pieces
}

// putInto puts the pieces in the place of the functions that stand for them. It reports
// whether all have found theirs.
func (pieces foundPieces) putInto(proto *lua.FunctionProto) bool {
	left := len(pieces)
	for i, inner := range proto.FunctionPrototypes {
		if n, isPiece := pieceNumber(inner); isPiece && n < len(pieces) {
			proto.FunctionPrototypes[i] = pieces[n].inPlaceOf(inner)
			left--
		}
	}
	return left == 0
}

func pieceNumber(proto *lua.FunctionProto) (int, bool) {
	if len(proto.Constants) == 0 {
		return 0, false
	}
	mark, _ := proto.Constants[0].(lua.LString)
	digits, ok := strings.CutPrefix(string(mark), pieceMark)
	n, err := strconv.Atoi(digits)
	return n, ok && err == nil
}

// placeCalls is the instruction of the function in the place of a piece that calls run.
const placeCalls = 1

// inPlaceOf returns the function that calls run, with the variables of the one that the
// compiler made. That one has kilobytes of room for more.
func (p *scriptPiece) inPlaceOf(made *lua.FunctionProto) *lua.FunctionProto {
	instruction := func(op, a, b, c int) uint32 { return uint32(op<<26 | a<<18 | c<<9 | b) }
	p.locals = slices.Clone(made.DbgUpvalues)
	for _, part := range p.parts {
		part.locals = p.locals
	}
	return &lua.FunctionProto{
		SourceName: made.SourceName, LineDefined: p.line, LastLineDefined: p.line,
		NumUpvalues: made.NumUpvalues, NumUsedRegisters: 2,
		Code: []uint32{
			uint32(lua.OP_LOADK << 26),
			instruction(lua.OP_CALL, 0, 1, 2),
			instruction(lua.OP_RETURN, 0, 2, 0),
		},
		Constants:          []lua.LValue{&lua.LFunction{IsG: true, GFunction: p.run}},
		DbgSourcePositions: []int{p.line, p.line, p.line},
		DbgUpvalues:        p.locals,
	}
}

// run makes the table. The variables that the piece shares with the script are those of
// the function in its place.
func (p *scriptPiece) run(L *lua.LState) int {
	frame, _ := L.GetStack(1)
	caller, err := L.GetInfo("f", frame, lua.LNil)
	if err != nil {
		L.RaiseError("%s", err.Error())
	}
	place := caller.(*lua.LFunction)
	if p.parts != nil {
		p.runParts(L, place)
	} else {
		p.call(L, place)
	}
	return 1
}

// call makes the table, or its fields, and leaves it on the stack.
func (p *scriptPiece) call(L *lua.LState, place *lua.LFunction) {
	plain, proto, err := p.take()
	if err != nil {
		L.Error(lua.LString(err.Error()), 0)
	}
	if plain != nil {
		p.script.plain.run(L, place, &plain.plainPiece, p.line)
		p.script.spare.Put(plain)
		return
	}
	fn := &lua.LFunction{Proto: proto, Env: place.Env}
	for _, name := range proto.DbgUpvalues {
		if name == concatName { // the piece has one of its own
			fn.Upvalues = append(fn.Upvalues, closedUpvalue(p.script.concat))
			continue
		}
		fn.Upvalues = append(fn.Upvalues, place.Upvalues[slices.Index(p.locals, name)])
	}
	L.Push(fn)
	L.Call(0, 1)
}

// take returns the compiled piece, and forgets it: it takes memory, and seldom runs again.
func (p *scriptPiece) take() (*plainReader, *lua.FunctionProto, error) {
	if p.script.isLoaded() { // a chunk that is called by requests, perhaps of several states at once
		proto, err := p.compileNow()
		return nil, proto, err
	}
	p.batch.need()
	p.compile()
	plain, proto := p.plain, p.proto
	if p.err == nil {
		p.compiled, p.plain, p.proto = false, nil, nil
	}
	return plain, proto, p.err
}

// isLoaded reports whether the load that compiled the script is over.
func (s *cutScript) isLoaded() bool { return s.plain.st != nil && s.plain.st.builder.load == nil }

// closedUpvalue is a variable that no function but one can see.
func closedUpvalue(v lua.LValue) *lua.Upvalue {
	u := &lua.Upvalue{}
	u.Close()
	u.SetValue(v)
	return u
}

// need waits until the pieces of the batch are compiled, and has those of the next ones
// compiled meanwhile.
func (b *pieceBatch) need() {
	for ahead, i := b, 0; ahead != nil && i <= goruntime.GOMAXPROCS(0); ahead, i = ahead.next, i+1 {
		ahead.once.Do(func() {
			ahead.done.Go(func() {
				for _, p := range ahead.pieces {
					p.compile()
				}
			})
		})
	}
	b.done.Wait()
}

// compile compiles the piece unless it is compiled: it is, but for one that runs again.
func (p *scriptPiece) compile() {
	if !p.compiled {
		p.plain, _ = p.script.spare.Get().(*plainReader)
		if p.plain == nil {
			p.plain = &plainReader{}
		}
		if !p.plain.read(p.text, p.fields) {
			p.script.spare.Put(p.plain)
			p.plain = nil
			p.proto, p.err = p.compileNow()
		}
		p.compiled = true
	}
}

func (p *scriptPiece) compileNow() (*lua.FunctionProto, error) {
	before, text, behind := "return ", p.text, ""
	if len(p.locals) > 0 {
		before, behind = "local "+strings.Join(p.locals, ",")+" return function() return ", " end"
	}
	if p.fields {
		before, behind = before+"{", "}"+behind
	}
	inner := &pieceScanner{src: text, line: 1, sizes: p.script.sizes}
	if len(text) > p.script.sizes.most && inner.find() { // one field alone can be that long
		text = inner.rest()
	}
	src := io.MultiReader(strings.NewReader(before), bytes.NewReader(text), strings.NewReader(behind))
	chunk, err := parse.Parse(src, p.script.name)
	if err != nil {
		return nil, p.moved(syntaxError(err, p.text, p.script.name))
	}
	proto, err := compileChunk(chunk, p.script.name, p.script.concat)
	if err == nil {
		err = repairTables(proto)
	}
	if err != nil {
		return nil, p.moved(&LoadError{Pos: Pos{File: p.script.name, Line: 1}, Msg: err.Error(), cause: err})
	}
	shiftLines(proto, p.line-1)
	if len(p.locals) > 0 {
		proto = proto.FunctionPrototypes[0]
	}
	inner.scriptPieces(p.script, p.line).putInto(proto)
	return proto, nil
}

// moved makes the line of an error that of the script.
func (p *scriptPiece) moved(err *LoadError) error {
	err.Pos.Line += p.line - 1
	return err
}

// shiftLines adds n to all lines of a function.
func shiftLines(proto *lua.FunctionProto, n int) {
	proto.LineDefined += n
	proto.LastLineDefined += n
	for i := range proto.DbgSourcePositions {
		proto.DbgSourcePositions[i] += n
	}
	for _, inner := range proto.FunctionPrototypes {
		shiftLines(inner, n)
	}
}
