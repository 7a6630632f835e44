package process

import "syscall"

// childAttributes makes children die with us, and keeps a terminal's Ctrl-C from them
// so that they are stopped in order.
func childAttributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
