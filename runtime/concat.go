package runtime

import (
	"fmt"
	"reflect"

	lua "github.com/yuin/gopher-lua"
	"github.com/yuin/gopher-lua/ast"

	"luaserve/runtime/luastring"
)

// gopher-lua's operator .. makes strings of any length, and when memory is gone the process
// is, too: s = s .. s in a loop is over in less than a second. It also prints numbers in its
// own way. Therefore scripts are compiled with a call of a function in the place of each ..,
// which is a local variable that no script can name.

// concatName is the name of that variable.
const concatName = "(concat)"

// concatMark is the value that the compiled code gives to the variable. It is replaced by
// the function, for which the compiler has no syntax.
const concatMark = "\x00luaserve: what stands for the operator ..\x00"

// newConcat makes the function. It depends on no state: all of a program share it.
func newConcat(maxLen int) *lua.LFunction {
	return &lua.LFunction{IsG: true, GFunction: luastring.Concat(maxLen)}
}

// compileChunk compiles a chunk, whose operators .. become calls of concat.
func compileChunk(chunk []ast.Stmt, name string, concat *lua.LFunction) (proto *lua.FunctionProto, err error) {
	defer func() { // the compiler panics about some texts
		if r := recover(); r != nil {
			proto, err = nil, fmt.Errorf("the compiler gives up: %v", r)
		}
	}()
	r := concatReplacer{}
	r.visit(reflect.ValueOf(chunk))
	if r.tooDeep {
		return nil, fmt.Errorf("chunk has too many syntax levels: more than %d", maxSyntaxDepth)
	}
	if !r.found {
		return lua.Compile(chunk, name)
	}
	mark := &ast.StringExpr{Value: concatMark}
	local := &ast.LocalAssignStmt{Names: []string{concatName}, Exprs: []ast.Expr{mark}}
	proto, err = lua.Compile(append([]ast.Stmt{local}, chunk...), name)
	if err != nil {
		return nil, err
	}
	for i, constant := range proto.Constants {
		if constant == lua.LString(concatMark) {
			proto.Constants[i] = concat
		}
	}
	return proto, nil
}

// maxSyntaxDepth bounds the depth of a syntax tree. The compiler calls itself for each level,
// and when Go's stack is full the process ends. A chain of operators is as deep as it is long.
const maxSyntaxDepth = 10_000

// concatReplacer goes through a syntax tree.
type concatReplacer struct {
	found, tooDeep bool
	depth          int
}

func (r *concatReplacer) visit(v reflect.Value) {
	switch v.Kind() {
	case reflect.Interface:
		if v.IsNil() {
			return
		}
		if expr, ok := v.Interface().(*ast.StringConcatOpExpr); ok {
			r.found = true
			v.Set(reflect.ValueOf(concatCall(expr)))
		}
		r.visit(v.Elem())
	case reflect.Pointer:
		if r.depth > maxSyntaxDepth {
			r.tooDeep = true
			return
		}
		if !v.IsNil() {
			r.depth++
			r.visit(v.Elem())
			r.depth--
		}
	case reflect.Struct:
		for i := range v.NumField() {
			r.visit(v.Field(i))
		}
	case reflect.Slice:
		for i := range v.Len() {
			r.visit(v.Index(i))
		}
	}
}

// concatCall is the call in the place of a .. b .. c. Each operand is one value, and so is
// the result.
func concatCall(expr *ast.StringConcatOpExpr) *ast.FuncCallExpr {
	function := &ast.IdentExpr{Value: concatName}
	function.SetLine(expr.Line())
	call := &ast.FuncCallExpr{Func: function, AdjustRet: true}
	call.SetLine(expr.Line())
	call.SetLastLine(expr.LastLine())
	for {
		call.Args = append(call.Args, expr.Lhs)
		rest, more := expr.Rhs.(*ast.StringConcatOpExpr)
		if !more {
			break
		}
		expr = rest
	}
	last := expr.Rhs
	switch last := last.(type) {
	case *ast.FuncCallExpr:
		last.AdjustRet = true
	case *ast.Comma3Expr:
		last.AdjustRet = true
	}
	call.Args = append(call.Args, last)
	return call
}
