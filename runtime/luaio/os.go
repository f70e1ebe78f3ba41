package luaio

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"syscall"

	lua "github.com/yuin/gopher-lua"
)

// remove is os.remove(name).
func (lib *library) remove(L *lua.LState) int {
	name := checkText(L, 1, "remove")
	return result(L, name, lib.Remove(name))
}

// rename is os.rename(from, to).
func (lib *library) rename(L *lua.LState) int {
	from, to := checkText(L, 1, "rename"), checkText(L, 2, "rename")
	return result(L, from, lib.Rename(from, to))
}

// tmpname is os.tmpname(): a new file, which stays so that nobody else takes its name.
func (lib *library) tmpname(L *lua.LState) int {
	f, err := os.CreateTemp("", "lua_")
	if err != nil {
		L.RaiseError("unable to generate a unique filename")
	}
	f.Close()
	L.Push(lua.LString(f.Name()))
	return 1
}

// execute is os.execute(command): its status as C's system returns it. Without a command it
// says that there is a shell.
func (lib *library) execute(L *lua.LState) int {
	if L.Get(1) == lua.LNil {
		L.Push(lua.LNumber(1))
		return 1
	}
	cmd := shell(L, checkText(L, 1, "execute"))
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	err := cmd.Run()
	checkTime(L)
	L.Push(lua.LNumber(waitStatus(err)))
	return 1
}

// shell is a command that ends, with all that it started, when the time of the call is up.
func shell(L *lua.LState, line string) *exec.Cmd {
	ctx := L.Context()
	if ctx == nil {
		ctx = context.Background()
	}
	cmd := exec.CommandContext(ctx, "/bin/sh", "-c", line)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	return cmd
}

// waitStatus is what the system says of how a process ended; -1 when it did not begin.
func waitStatus(err error) int {
	if err == nil {
		return 0
	}
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		if status, ok := exit.Sys().(syscall.WaitStatus); ok {
			return int(status)
		}
	}
	return -1
}

// popen is io.popen(command, mode).
func (lib *library) popen(L *lua.LState) int {
	line, mode := checkText(L, 1, "popen"), L.OptString(2, "r")
	if mode != "r" && mode != "w" {
		argError(L, 2, "popen", "invalid mode")
	}
	read, write, err := os.Pipe()
	if err != nil {
		return pushError(L, line, err)
	}
	cmd := shell(L, line)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	ours, theirs := read, write
	if mode == "r" {
		cmd.Stdout = write
	} else {
		cmd.Stdin = read
		ours, theirs = write, read
	}
	err = cmd.Start()
	theirs.Close()
	if err != nil {
		ours.Close()
		return pushError(L, line, err)
	}
	f := &file{f: ours, ended: make(chan error, 1)}
	go func() { f.ended <- cmd.Wait() }()
	L.Push(lib.wrap(L, f))
	return 1
}
