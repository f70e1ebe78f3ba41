//go:build unix

package main

import (
	"fmt"
	"os"
	"syscall"
)

// assume makes the process run as the account, for good. The order matters: without root's
// rights the groups cannot be changed any more.
func (a account) assume() error {
	if os.Getuid() != 0 {
		return fmt.Errorf("only root can become %s", a.name)
	}
	if err := syscall.Setgroups(a.groups); err != nil {
		return fmt.Errorf("setgroups: %w", err)
	}
	if err := syscall.Setgid(a.gid); err != nil {
		return fmt.Errorf("setgid: %w", err)
	}
	if err := syscall.Setuid(a.uid); err != nil {
		return fmt.Errorf("setuid: %w", err)
	}
	if a.uid != 0 && syscall.Setuid(0) == nil {
		return fmt.Errorf("root's rights did not go away")
	}
	return nil
}
