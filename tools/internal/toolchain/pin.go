package toolchain

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
)

// keyLength is the number of hexadecimal digits of a key: enough to never meet twice in a cache.
const keyLength = 12

// Platform is the compiler and the target that a program is built with.
type Platform struct {
	GoVersion string
	OS        string
	Arch      string
}

// pinnedVersion returns the version that the go.mod file requires of path, or "" without one.
func pinnedVersion(gomod, path string) string {
	for line := range strings.Lines(gomod) {
		fields := strings.Fields(strings.TrimPrefix(strings.TrimSpace(line), "require "))
		if len(fields) >= 2 && fields[0] == path && strings.HasPrefix(fields[1], "v") {
			return fields[1]
		}
	}
	return ""
}

// linkerFlags returns the value of -ldflags: no debug information, and the pinned version
// where the program would otherwise call itself a development build.
func linkerFlags(m Module, version string) string {
	flags := []string{"-s", "-w"}
	for _, name := range m.VersionVars {
		flags = append(flags, "-X "+name+"="+version)
	}
	major, rest, _ := strings.Cut(strings.TrimPrefix(version, "v"), ".")
	minor, _, _ := strings.Cut(rest, ".")
	for _, prefix := range m.MajorMinorVars {
		flags = append(flags, "-X "+prefix+"Major="+major, "-X "+prefix+"Minor="+minor)
	}
	return strings.Join(flags, " ")
}

// source is what a module's own files say; program is empty in one without a program of its own.
type source struct{ gomod, gosum, program string }

// key names one exact build: it changes with any pinned version, the program, the compiler, the target or a flag.
func key(s source, p Platform, flags []string) string {
	h := sha256.New()
	for _, part := range append([]string{s.gomod, s.gosum, s.program, p.GoVersion, p.OS, p.Arch}, flags...) {
		// Lengths keep "ab","c" and "a","bc" apart.
		fmt.Fprintf(h, "%d:%s\n", len(part), part)
	}
	return hex.EncodeToString(h.Sum(nil))[:keyLength]
}
