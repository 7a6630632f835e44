// Package process runs programs as children that die with this process and write their output to a file.
package process

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"syscall"
)

// tailBytes is how much of a log an error quotes.
const tailBytes = 4 << 10

// Options say what to run.
type Options struct {
	// Name is how errors call the process.
	Name string
	// Path is the program.
	Path string
	Args []string
	// Env is added to this process's environment.
	Env []string
	// LogFile receives the output, after what it holds already.
	LogFile string
}

// Process is a child. Its methods may be called concurrently.
type Process struct {
	// Name is how errors call the process.
	Name string
	// LogFile holds the output.
	LogFile string

	cmd  *exec.Cmd
	done chan struct{} // closed after the child has ended and err is set
	err  error
}

// Start starts a program. The child dies with this process where the system can arrange it.
func Start(o Options) (*Process, error) {
	out, err := os.OpenFile(o.LogFile, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(o.Path, o.Args...)
	cmd.Stdout, cmd.Stderr = out, out
	cmd.Env = append(os.Environ(), o.Env...)
	cmd.SysProcAttr = childAttributes()
	p := &Process{Name: o.Name, LogFile: o.LogFile, cmd: cmd, done: make(chan struct{})}
	started := make(chan error)
	go func() {
		// The system watches the thread that started the child, not the whole process,
		// so the thread must live as long as the child.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		defer out.Close()
		if err := cmd.Start(); err != nil {
			started <- err
			return
		}
		started <- nil
		p.err = cmd.Wait()
		close(p.done)
	}()
	if err := <-started; err != nil {
		return nil, fmt.Errorf("start %s: %w", o.Name, err)
	}
	return p, nil
}

// PID is the system's number of the process.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Done is closed once the process has ended.
func (p *Process) Done() <-chan struct{} { return p.done }

// Signal sends a signal; a process that has ended is left alone.
func (p *Process) Signal(signal syscall.Signal) {
	// Failing means that it has ended already.
	_ = p.cmd.Process.Signal(signal)
}

// Kill ends the process and waits until it is gone.
func (p *Process) Kill() { p.End(syscall.SIGKILL) }

// End sends a signal that ends the process and waits until it is gone.
func (p *Process) End(signal syscall.Signal) {
	p.Signal(signal)
	<-p.done
}

// Err waits until the process is gone and returns what its exit status says, nil for 0.
func (p *Process) Err() error {
	<-p.done
	return p.err
}

// Failure describes the end of a process that should have stayed; it must have ended.
func (p *Process) Failure() error {
	reason := p.Err()
	if reason == nil {
		reason = errors.New("exit status 0")
	}
	return fmt.Errorf("%s died: %w; end of %s:\n%s", p.Name, reason, p.LogFile, Tail(p.LogFile))
}

// Tail returns the end of a file, or why it cannot be read.
func Tail(file string) string {
	f, err := os.Open(file)
	if err != nil {
		return err.Error()
	}
	defer f.Close()
	if info, err := f.Stat(); err == nil && info.Size() > tailBytes {
		if _, err := f.Seek(-tailBytes, io.SeekEnd); err != nil {
			return err.Error()
		}
	}
	text, err := io.ReadAll(io.LimitReader(f, tailBytes))
	if err != nil {
		return err.Error()
	}
	return string(text)
}
