//go:build unix && !linux

package process

import "syscall"

// childAttributes keeps a terminal's Ctrl-C from children so that they are stopped in order.
func childAttributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true}
}
