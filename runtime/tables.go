package runtime

import (
	"errors"

	lua "github.com/yuin/gopher-lua"
)

// gopher-lua (v1.1.2) compiles some table constructors wrongly, and a list of actions would
// lose one without a word. It stores positional fields in blocks of fifty:
//
//	{ a1, …, a50, f() }   stores what f returns over the first block again
//	{ a1, …, a50, k = v } stores the first block a second time, from registers that are used again
//	{ a, k = f() }        stores the result of f as a positional field too
//	                      and of more than 511 blocks none behind
//
// Which blocks there are can be seen in the compiled code: repairTables makes it right.

// tableBlock is how many positional fields are stored at once.
const tableBlock = 50

var errTableTooLong = errors.New("a table with more than 25550 entries must not end with a call; put the call into parentheses")

// repairTables corrects the table constructors of a function and those within it, before
// the function runs for the first time.
func repairTables(proto *lua.FunctionProto) error {
	var blocks [256]int // that were stored so far, by the register of the table
	var made [256]int   // where it is made
	for pc := 0; pc < len(proto.Code); pc++ {
		inst := proto.Code[pc]
		switch opCode(inst) {
		case lua.OP_NEWTABLE:
			blocks[argA(inst)], made[argA(inst)] = 0, pc
		case lua.OP_SETLIST:
			wide := argC(inst) == 0 // the number of the block is in the next word
			if proto.Code[pc] = repairBlock(inst, proto.Code[pc-1]); opCode(proto.Code[pc]) == lua.OP_NOP {
				if wide {
					proto.Code[pc+1] = proto.Code[pc]
				}
				continue
			}
			if argB(proto.Code[pc]) == 0 {
				reserve(&proto.Code[made[argA(inst)]])
			}
			blocks[argA(inst)]++
			number := uint32(blocks[argA(inst)])
			switch {
			case wide:
				pc++
				proto.Code[pc] = number
			case number > maxArgC:
				return errTableTooLong
			default:
				proto.Code[pc] = proto.Code[pc]&^(maxArgC<<9) | number<<9
			}
		}
	}
	for _, inner := range proto.FunctionPrototypes {
		if err := repairTables(inner); err != nil {
			return err
		}
	}
	return nil
}

// reserve corrects the sizes with which a table is made that ends with a call. The call
// counts as a named field, and one without others before it gets room for 32: half a
// kilobyte and a map for each { respond "x" }.
func reserve(newTable *uint32) {
	if argB(*newTable) == 0 {
		*newTable |= 1
	}
	if named := argC(*newTable); 1 <= named && named < 8 { // larger ones are coded
		*newTable -= 1 << 9
	}
}

// repairBlock returns the instruction that stores a block, or one that does nothing when
// the block is stored already. A named field right before is what both mistakes come from.
func repairBlock(inst, before uint32) uint32 {
	named := (opCode(before) == lua.OP_SETTABLE || opCode(before) == lua.OP_SETTABLEKS) && argA(before) == argA(inst)
	if !named {
		return inst
	}
	fields := argB(inst)
	if fields == 0 { // taken for "all results of the call"; the value follows the block
		fields = argC(before) - argA(before) - 1
		if key := argB(before); key&constantBit == 0 && key > argA(before) {
			fields--
		}
	}
	if fields == 0 || fields == tableBlock {
		return uint32(lua.OP_NOP) << 26
	}
	return inst&^maxArgB | uint32(fields)
}
