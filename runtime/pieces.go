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
// when it comes by. In their place it has a function that knows the local variables the
// piece names; from it the piece gets them. Tables within functions, loops and blocks stay.
// For what a script does, and for the lines in messages, there is no difference, but that
// what comes before a syntax error in a piece has run.

const (
	largeScript = 256 << 10 // bytes; below that a script is compiled as a whole
	minPiece    = 256
	maxPiece    = 16 << 10
	maxNames    = 100 // that a piece may use
	batchSize   = 16
)

// scriptPiece is a table constructor of a large script.
type scriptPiece struct {
	file   string
	text   []byte
	line   int            // of its first byte
	locals []string       // the local variables of the script that it names
	concat *lua.LFunction // see compile
	batch  *pieceBatch

	compiled bool // until it has run
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

// compileInPieces compiles a large script; pieces have at least so many bytes. Without ok it
// must be compiled as a whole, also to find out what is wrong with it.
func compileInPieces(src []byte, name string, least int, concat *lua.LFunction) (proto *lua.FunctionProto, ok bool) {
	s := &pieceScanner{src: src, line: 1, min: least}
	if !s.find() || len(s.pieces) == 0 {
		return nil, false
	}
	chunk, err := parse.Parse(bytes.NewReader(s.rest()), name)
	if err != nil {
		return nil, false
	}
	if proto, err = compileChunk(chunk, name, concat); err != nil || repairTables(proto) != nil {
		return nil, false
	}
	pieces := make([]*scriptPiece, len(s.pieces))
	for i, p := range s.pieces {
		pieces[i] = &scriptPiece{file: name, text: src[p.from:p.to], line: p.line, concat: concat}
	}
	var next *pieceBatch
	for batch := range slices.Chunk(pieces, batchSize) {
		b := &pieceBatch{pieces: batch}
		for _, p := range batch {
			p.batch = b
		}
		if next != nil {
			next.next = b
		}
		next = b
	}
	left := len(pieces)
	for i, inner := range proto.FunctionPrototypes {
		if n, isPiece := pieceNumber(inner); isPiece {
			proto.FunctionPrototypes[i] = pieces[n].inPlaceOf(inner)
			left--
		}
	}
	return proto, left == 0
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

// inPlaceOf returns the function that calls run, with the variables of the one that the
// compiler made. That one has kilobytes of room for more.
func (p *scriptPiece) inPlaceOf(made *lua.FunctionProto) *lua.FunctionProto {
	instruction := func(op, a, b, c int) uint32 { return uint32(op<<26 | a<<18 | c<<9 | b) }
	p.locals = slices.Clone(made.DbgUpvalues)
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

// run makes a function of the piece and calls it. The variables that it shares with the
// script are those of the function in its place.
func (p *scriptPiece) run(L *lua.LState) int {
	frame, _ := L.GetStack(1)
	caller, err := L.GetInfo("f", frame, lua.LNil)
	if err != nil {
		L.RaiseError("%s", err.Error())
	}
	p.batch.need()
	p.compile()
	if p.err != nil {
		L.Error(lua.LString(p.err.Error()), 0)
	}
	place := caller.(*lua.LFunction)
	fn := &lua.LFunction{Proto: p.proto, Env: place.Env}
	for _, name := range p.proto.DbgUpvalues {
		if name == concatName { // the piece has one of its own
			fn.Upvalues = append(fn.Upvalues, closedUpvalue(p.concat))
			continue
		}
		fn.Upvalues = append(fn.Upvalues, place.Upvalues[slices.Index(p.locals, name)])
	}
	p.compiled, p.proto = false, nil // it takes memory, and seldom runs again
	L.Push(fn)
	L.Call(0, 1)
	return 1
}

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
		p.proto, p.err = p.compileNow()
		p.compiled = true
	}
}

func (p *scriptPiece) compileNow() (*lua.FunctionProto, error) {
	before, behind := "return ", ""
	if len(p.locals) > 0 {
		before, behind = "local "+strings.Join(p.locals, ",")+" return function() return ", " end"
	}
	src := io.MultiReader(strings.NewReader(before), bytes.NewReader(p.text), strings.NewReader(behind))
	chunk, err := parse.Parse(src, p.file)
	if err != nil {
		return nil, p.moved(syntaxError(err, p.text, p.file))
	}
	proto, err := compileChunk(chunk, p.file, p.concat)
	if err == nil {
		err = repairTables(proto)
	}
	if err != nil {
		return nil, p.moved(&LoadError{Pos: Pos{File: p.file, Line: 1}, Msg: err.Error(), cause: err})
	}
	shiftLines(proto, p.line-1)
	if len(p.locals) > 0 {
		proto = proto.FunctionPrototypes[0]
	}
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
