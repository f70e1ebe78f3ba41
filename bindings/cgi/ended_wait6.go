//go:build freebsd && (amd64 || arm64 || riscv64)

package cgi

import (
	"syscall"
	"unsafe"
)

// waitEnded returns when the process has ended, and leaves it to be waited for.
func waitEnded(pid int) {
	const pPID = 0 // the number is that of a process (wait6(2))
	var status int32
	into := unsafe.Pointer(&status)
	for {
		_, _, errno := syscall.Syscall6(syscall.SYS_WAIT6, pPID, uintptr(pid), uintptr(into), syscall.WEXITED|syscall.WNOWAIT, 0, 0)
		if errno != syscall.EINTR {
			return
		}
	}
}
