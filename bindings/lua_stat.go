package bindings

import (
	"errors"
	"io/fs"
	"strings"
	"syscall"

	lua "github.com/yuin/gopher-lua"

	"luaserve/runtime"
	"luaserve/runtime/luaio"
)

// statObject is what vr:stat returns. It stays valid when the request is over.
var statObject = &runtime.Object{
	Name: "struct stat",
	Doc:  "What the file system knows about a file; symbolic links are followed.",
	Fields: []runtime.Attribute{
		fileKind("is_file", "Whether it is a regular file.", syscall.S_IFREG),
		fileKind("is_dir", "Whether it is a directory.", syscall.S_IFDIR),
		fileKind("is_char", "Whether it is a character device.", syscall.S_IFCHR),
		fileKind("is_block", "Whether it is a block device.", syscall.S_IFBLK),
		fileKind("is_socket", "Whether it is a socket.", syscall.S_IFSOCK),
		fileKind("is_link", "Whether it is a symbolic link; they are followed, so never.", syscall.S_IFLNK),
		fileKind("is_fifo", "Whether it is a named pipe.", syscall.S_IFIFO),
		fileNumber("mode", "Type and permissions.", func(st *syscall.Stat_t) int64 { return int64(st.Mode) }),
		fileNumber("mtime", "Time of the last change of the content, in seconds since 1970.", modified),
		fileNumber("ctime", "Time of the last change of the inode.", changed),
		fileNumber("atime", "Time of the last access.", accessed),
		fileNumber("uid", "User that owns it.", func(st *syscall.Stat_t) int64 { return int64(st.Uid) }),
		fileNumber("gid", "Group that owns it.", func(st *syscall.Stat_t) int64 { return int64(st.Gid) }),
		fileNumber("size", "Size in bytes.", func(st *syscall.Stat_t) int64 { return st.Size }),
		fileNumber("ino", "Number of the inode.", func(st *syscall.Stat_t) int64 { return int64(st.Ino) }),
		fileNumber("dev", "Device that it is on.", func(st *syscall.Stat_t) int64 { return int64(st.Dev) }),
	},
}

func fileKind(name, doc string, kind uint32) runtime.Attribute {
	return runtime.Attribute{Name: name, Type: "boolean", Doc: doc, Leaf: true,
		Get: func(_ *runtime.Call, self any) lua.LValue {
			return lua.LBool(uint32(self.(*syscall.Stat_t).Mode)&syscall.S_IFMT == kind)
		}}
}

func fileNumber(name, doc string, get func(*syscall.Stat_t) int64) runtime.Attribute {
	return runtime.Attribute{Name: name, Type: "number", Doc: doc, Leaf: true,
		Get: func(_ *runtime.Call, self any) lua.LValue {
			return lua.LNumber(get(self.(*syscall.Stat_t)))
		}}
}

// vrStat serves st, res, errno, msg = vr:stat(filename). The answer is always there at
// once; res is never HANDLER_WAIT_FOR_EVENT.
func vrStat(c *runtime.Call, _ any) int {
	if c.L.GetTop() != 2 {
		c.Error("vr:stat(filename): incorrect number of arguments")
	}
	name, ok := textOf(c.L.Get(2))
	if !ok {
		c.Error("vr:stat(filename): wrong argument types")
	}
	var info fs.FileInfo
	var err error
	blocking(c, func() { info, err = c.Files().Stat(name) })
	if err == nil {
		if st, ok := info.Sys().(*syscall.Stat_t); ok {
			return push(c, c.Value(statObject, st), lua.LNumber(runtime.HandlerGoOn))
		}
	}
	if errors.Is(err, luaio.ErrOutside) || errors.Is(err, luaio.ErrNoFiles) {
		c.Errorf("vr:stat: %s", err)
	}
	errno, msg := errorNumber(err)
	return push(c, lua.LNil, lua.LNumber(runtime.HandlerError), lua.LNumber(errno), lua.LString(msg))
}

// errorNumber returns the number of a system error and its text as C programs print it.
func errorNumber(err error) (syscall.Errno, string) {
	var errno syscall.Errno
	if !errors.As(err, &errno) {
		errno = syscall.EIO
	}
	text := errno.Error()
	return errno, strings.ToUpper(text[:1]) + text[1:]
}
