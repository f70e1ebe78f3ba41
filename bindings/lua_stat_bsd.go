//go:build darwin || freebsd || netbsd

package bindings

import "syscall"

// The times of a file, in seconds since 1970.
func modified(st *syscall.Stat_t) int64 { return int64(st.Mtimespec.Sec) }
func changed(st *syscall.Stat_t) int64  { return int64(st.Ctimespec.Sec) }
func accessed(st *syscall.Stat_t) int64 { return int64(st.Atimespec.Sec) }
