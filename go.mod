module luaserve

go 1.26

require (
	github.com/yuin/gopher-lua v1.1.2
	golang.org/x/tools v0.0.0-20200908211811-12e1bf57a112
)
