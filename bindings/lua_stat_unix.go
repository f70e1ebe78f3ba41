//go:build unix && !darwin && !freebsd && !netbsd

package bindings

import "syscall"

// The times of a file, in seconds since 1970.
func modified(st *syscall.Stat_t) int64 { return int64(st.Mtim.Sec) }
func changed(st *syscall.Stat_t) int64  { return int64(st.Ctim.Sec) }
func accessed(st *syscall.Stat_t) int64 { return int64(st.Atim.Sec) }
