package lint

import (
	"bytes"
	"slices"

	"github.com/yuin/gopher-lua/ast"
	"github.com/yuin/gopher-lua/parse"

	"luaserve/runtime/luatext"
)

// code is a script as its syntax tree says it: which name is which variable.
type code struct {
	source    *source
	functions []*function // the main chunk first
	locals    []*local
	globals   []*globalUse
	calls     []*ast.FuncCallExpr
	thrown    []thrown // calls whose result nobody takes
	tables    []*ast.TableExpr
	dynamic   bool // globals are made in a way that cannot be followed
}

// function is a function, or the main chunk.
type function struct {
	expr    *ast.FunctionExpr // nil for the main chunk
	outer   *function
	calls   []*local
	request bool // it runs while requests are handled
}

// local is a local variable.
type local struct {
	name     string
	line     int
	in       *function
	ignored  bool // a parameter, a loop variable, or one that must be there for others
	reads    int
	writes   int
	selfRead int // within the function that it holds
	value    *function
}

// globalUse is a global that is read or set.
type globalUse struct {
	name   string
	line   int
	in     *function
	set    bool
	tested bool // whether it is nil is what matters
}

// thrown is a call that is a statement.
type thrown struct {
	call *ast.FuncCallExpr
	name string // dotted, of global names; "" for anything else
	in   *function
}

// readCode parses a script; nil for one that does not parse.
func readCode(s *source) *code {
	src := []byte(s.text.Source())
	if len(src) > 0 && src[0] == '#' {
		src[0] = '-' // a first line for the system's loader
		src = append([]byte("-"), src...)
	}
	chunk, err := parse.Parse(bytes.NewReader(src), s.name)
	if err != nil {
		return nil
	}
	c := &code{source: s, functions: []*function{{}}}
	r := &resolver{code: c, in: c.functions[0]}
	r.block(chunk)
	return c
}

// resolver walks through the syntax tree.
type resolver struct {
	code  *code
	in    *function
	scope []*local
	holds *local // the local whose function is walked
}

func (r *resolver) declare(name string, line int, ignored bool) *local {
	l := &local{name: name, line: line, in: r.in, ignored: ignored || name == "" || name[0] == '_'}
	r.scope = append(r.scope, l)
	r.code.locals = append(r.code.locals, l)
	return l
}

func (r *resolver) find(name string) *local {
	for i := len(r.scope) - 1; i >= 0; i-- {
		if r.scope[i].name == name {
			return r.scope[i]
		}
	}
	return nil
}

func (r *resolver) block(stmts []ast.Stmt) {
	depth := len(r.scope)
	for _, s := range stmts {
		r.stmt(s)
	}
	r.scope = r.scope[:depth]
}

func (r *resolver) stmt(s ast.Stmt) {
	switch s := s.(type) {
	case *ast.AssignStmt:
		r.exprs(s.Rhs)
		for i, l := range s.Lhs {
			r.assign(l)
			if id, ok := l.(*ast.IdentExpr); ok && i < len(s.Rhs) {
				if to := r.find(id.Value); to != nil {
					to.value = nil
				}
			}
		}
	case *ast.LocalAssignStmt:
		r.locals(s)
	case *ast.FuncCallStmt:
		r.expr(s.Expr)
		if call, ok := s.Expr.(*ast.FuncCallExpr); ok {
			r.code.thrown = append(r.code.thrown, thrown{call, r.dotted(call.Func), r.in})
		}
	case *ast.DoBlockStmt:
		r.block(s.Stmts)
	case *ast.WhileStmt:
		r.test(s.Condition)
		r.block(s.Stmts)
	case *ast.RepeatStmt:
		depth := len(r.scope)
		for _, inner := range s.Stmts { // the condition sees the locals of the body
			r.stmt(inner)
		}
		r.test(s.Condition)
		r.scope = r.scope[:depth]
	case *ast.IfStmt:
		r.test(s.Condition)
		r.block(s.Then)
		r.block(s.Else)
	case *ast.NumberForStmt:
		r.exprs([]ast.Expr{s.Init, s.Limit, s.Step})
		r.loop([]string{s.Name}, s.Line(), s.Stmts)
	case *ast.GenericForStmt:
		r.exprs(s.Exprs)
		r.loop(s.Names, s.Line(), s.Stmts)
	case *ast.FuncDefStmt:
		if s.Name.Func == nil { // function obj:method()
			r.expr(s.Name.Receiver)
		} else {
			r.assign(s.Name.Func)
		}
		r.function(s.Func, s.Name.Func == nil)
	case *ast.ReturnStmt:
		r.exprs(s.Exprs)
	}
}

func (r *resolver) locals(s *ast.LocalAssignStmt) {
	if fn, ok := single(s); ok { // it can call itself
		l := r.declare(s.Names[0], s.Line(), false)
		outer := r.holds
		r.holds = l
		l.value = r.function(fn, false)
		r.holds = outer
		return
	}
	r.exprs(s.Exprs)
	var made []*local
	for i, name := range s.Names {
		vararg := false
		if i < len(s.Exprs) {
			_, vararg = s.Exprs[i].(*ast.Comma3Expr)
		} else if len(s.Exprs) > 0 {
			_, vararg = s.Exprs[len(s.Exprs)-1].(*ast.Comma3Expr)
		}
		l := r.declare(name, s.Line(), vararg)
		if i < len(s.Exprs) {
			if fn, ok := s.Exprs[i].(*ast.FunctionExpr); ok {
				l.value = r.code.functionOf(fn)
			}
		}
		made = append(made, l)
	}
	if len(s.Names) > len(s.Exprs) && len(s.Exprs) > 0 { // of several results only the last names can be left out
		for i := len(s.Exprs) - 1; i < len(made)-1; i++ {
			made[i].ignored = true
		}
	}
}

func single(s *ast.LocalAssignStmt) (*ast.FunctionExpr, bool) {
	if len(s.Names) != 1 || len(s.Exprs) != 1 {
		return nil, false
	}
	fn, ok := s.Exprs[0].(*ast.FunctionExpr)
	return fn, ok
}

func (c *code) functionOf(fn *ast.FunctionExpr) *function {
	i := slices.IndexFunc(c.functions, func(f *function) bool { return f.expr == fn })
	if i < 0 {
		return nil
	}
	return c.functions[i]
}

func (r *resolver) loop(names []string, line int, body []ast.Stmt) {
	depth := len(r.scope)
	for _, n := range names {
		r.declare(n, line, true)
	}
	r.block(body)
	r.scope = r.scope[:depth]
}

func (r *resolver) assign(e ast.Expr) {
	id, ok := e.(*ast.IdentExpr)
	if !ok {
		if get, ok := e.(*ast.AttrGetExpr); ok && r.global(get.Object) == "_G" {
			if key, ok := get.Key.(*ast.StringExpr); ok {
				r.code.globals = append(r.code.globals, &globalUse{key.Value, e.Line(), r.code.functions[0], true, false})
			} else {
				r.code.dynamic = true
			}
		}
		r.expr(e)
		return
	}
	if l := r.find(id.Value); l != nil {
		l.writes++
		return
	}
	r.code.globals = append(r.code.globals, &globalUse{id.Value, e.Line(), r.in, true, false})
}

func (r *resolver) exprs(list []ast.Expr) {
	for _, e := range list {
		if e != nil {
			r.expr(e)
		}
	}
}

func (r *resolver) expr(e ast.Expr) {
	switch e := e.(type) {
	case *ast.IdentExpr:
		r.read(e, false)
	case *ast.AttrGetExpr:
		r.exprs([]ast.Expr{e.Object, e.Key})
	case *ast.TableExpr:
		r.code.tables = append(r.code.tables, e)
		for _, f := range e.Fields {
			r.exprs([]ast.Expr{f.Key, f.Value})
		}
	case *ast.FuncCallExpr:
		r.call(e)
	case *ast.LogicalOpExpr:
		r.test(e.Lhs)
		r.expr(e.Rhs)
	case *ast.RelationalOpExpr:
		r.test(e.Lhs)
		r.test(e.Rhs)
	case *ast.StringConcatOpExpr:
		r.exprs([]ast.Expr{e.Lhs, e.Rhs})
	case *ast.ArithmeticOpExpr:
		r.exprs([]ast.Expr{e.Lhs, e.Rhs})
	case *ast.UnaryMinusOpExpr:
		r.expr(e.Expr)
	case *ast.UnaryNotOpExpr:
		r.test(e.Expr)
	case *ast.UnaryLenOpExpr:
		r.expr(e.Expr)
	case *ast.FunctionExpr:
		r.function(e, false)
	}
}

// test walks through an expression of which only matters whether it is nil.
func (r *resolver) test(e ast.Expr) {
	if id, ok := e.(*ast.IdentExpr); ok {
		r.read(id, true)
		return
	}
	r.expr(e)
}

func (r *resolver) read(id *ast.IdentExpr, tested bool) {
	l := r.find(id.Value)
	if l == nil {
		r.code.globals = append(r.code.globals, &globalUse{id.Value, id.Line(), r.in, false, tested})
		return
	}
	if l == r.holds {
		l.selfRead++
		return
	}
	l.reads++
}

// unfollowed are functions that may make globals of any name.
var unfollowed = []string{"setfenv", "getfenv", "loadstring", "load", "dofile", "loadfile", "require", "module", "rawset", "setmetatable"}

func (r *resolver) call(e *ast.FuncCallExpr) {
	r.code.calls = append(r.code.calls, e)
	name := ""
	if e.Func != nil {
		name = r.global(e.Func)
		if id, ok := e.Func.(*ast.IdentExpr); ok {
			if l := r.find(id.Value); l != nil {
				r.in.calls = append(r.in.calls, l)
			}
		}
		r.expr(e.Func)
	}
	if e.Receiver != nil {
		r.expr(e.Receiver)
	}
	for i, arg := range e.Args {
		switch {
		case name == "type" || name == "rawget":
			r.test(arg)
		case slices.Contains(unfollowed, name) && (name != "rawset" && name != "setmetatable" || i == 0 && r.global(arg) != ""):
			r.code.dynamic = true
			r.expr(arg)
		default:
			r.expr(arg)
		}
	}
}

// global returns the name of a global, "" when e is none.
func (r *resolver) global(e ast.Expr) string {
	if id, ok := e.(*ast.IdentExpr); ok && r.find(id.Value) == nil {
		return id.Value
	}
	return ""
}

// dotted returns a name like header.add whose first part is a global.
func (r *resolver) dotted(e ast.Expr) string {
	get, ok := e.(*ast.AttrGetExpr)
	if !ok {
		return r.global(e)
	}
	key, ok := get.Key.(*ast.StringExpr)
	object := r.dotted(get.Object)
	if !ok || object == "" {
		return ""
	}
	return object + "." + key.Value
}

func (r *resolver) function(e *ast.FunctionExpr, method bool) *function {
	f := &function{expr: e, outer: r.in}
	r.code.functions = append(r.code.functions, f)
	outer, depth := r.in, len(r.scope)
	r.in = f
	if method {
		r.declare("self", e.Line(), true)
	}
	for _, p := range e.ParList.Names {
		r.declare(p, e.Line(), true)
	}
	r.block(e.Stmts)
	r.in, r.scope = outer, r.scope[:depth]
	return f
}

// markRequests marks what runs while requests are handled: the handlers that begin on these
// lines, what is within them, and what they call.
func (c *code) markRequests(handlers []int) {
	for _, line := range handlers {
		var on []*function
		for _, f := range c.functions {
			if f.expr != nil && f.expr.Line() == line {
				on = append(on, f)
			}
		}
		if len(on) == 1 { // else it is not known which
			on[0].request = true
		}
	}
	for changed := true; changed; {
		changed = false
		for _, f := range c.functions {
			if !f.request && f.outer != nil && f.outer.request {
				f.request, changed = true, true
			}
			if !f.request {
				continue
			}
			for _, l := range f.calls {
				if l.value != nil && l.writes == 0 && !l.value.request {
					l.value.request, changed = true, true
				}
			}
		}
	}
}

// place returns the token of a name on a line.
func (c *code) place(line int, name string) (luatext.Token, bool) {
	if found := c.source.text.Find(line, name); len(found) > 0 {
		return found[0], true
	}
	return luatext.Token{}, false
}
