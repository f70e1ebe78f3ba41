//go:build linux || darwin

package cgi

import (
	"syscall"
	"unsafe"
)

// waitEnded returns when the process has ended, and leaves it to be waited for.
func waitEnded(pid int) {
	const pPID = 1      // the number is that of a process (waitid(2))
	var info [16]uint64 // of the process; Darwin wants the memory
	into := unsafe.Pointer(&info)
	for {
		_, _, errno := syscall.Syscall6(syscall.SYS_WAITID, pPID, uintptr(pid), uintptr(into), syscall.WEXITED|syscall.WNOWAIT, 0, 0)
		if errno != syscall.EINTR {
			return
		}
	}
}
