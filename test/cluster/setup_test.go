package cluster

import (
	"crypto/x509"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestParsePrograms(t *testing.T) {
	tests := map[string]struct {
		why  string
		text string
		want map[string]string
		fail bool
	}{
		"PathsByName": {
			text: "etcd=/cache/etcd\nkube-apiserver=/cache/a=b/kube-apiserver\n",
			want: map[string]string{"etcd": "/cache/etcd", "kube-apiserver": "/cache/a=b/kube-apiserver"},
		},
		"NothingIsNothing": {want: map[string]string{}},
		"OtherOutputIsRefused": {
			why:  "a warning mixed into the output must not become a program",
			text: "etcd=/cache/etcd\ngo: warning\n",
			fail: true,
		},
		"RelativePathIsRefused": {
			why:  "it would depend on the working folder of whoever runs it",
			text: "etcd=cache/etcd\n",
			fail: true,
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := parsePrograms(strings.NewReader(tc.text))
			if (err != nil) != tc.fail {
				t.Fatalf("parsePrograms(%q): error %v, want failure: %v (%s)", tc.text, err, tc.fail, tc.why)
			}
			if !maps.Equal(got, tc.want) {
				t.Errorf("parsePrograms(%q) = %v, want %v (%s)", tc.text, got, tc.want, tc.why)
			}
		})
	}
}

func TestFreePortNeverRepeats(t *testing.T) {
	seen := map[int]bool{}
	for range 50 {
		port, err := freePort()
		if err != nil {
			t.Fatal(err)
		}
		if seen[port] {
			t.Fatalf("port %d was given out twice", port)
		}
		seen[port] = true
		if port < portFirst || port >= portFirst+portCount {
			t.Errorf("port %d is outside the range", port)
		}
	}
}

func TestClientCertificateNamesTheIdentity(t *testing.T) {
	keys, err := newPKI()
	if err != nil {
		t.Fatal(err)
	}
	id := ServiceAccount("vpsie", "planner")
	pair, err := keys.client(id)
	if err != nil {
		t.Fatal(err)
	}
	if pair.cert.Subject.CommonName != "system:serviceaccount:vpsie:planner" {
		t.Errorf("common name = %q", pair.cert.Subject.CommonName)
	}
	groups := slices.Sorted(slices.Values(pair.cert.Subject.Organization))
	if want := []string{"system:serviceaccounts", "system:serviceaccounts:vpsie"}; !slices.Equal(groups, want) {
		t.Errorf("groups = %v, want %v", groups, want)
	}
	usage := x509.VerifyOptions{Roots: keys.pool(), KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}
	if _, err := pair.cert.Verify(usage); err != nil {
		t.Errorf("client certificate does not verify: %v", err)
	}
	usage.KeyUsages = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	if _, err := pair.cert.Verify(usage); err == nil {
		t.Error("a client certificate passes for a server's")
	}
}

func TestEarlyDeathQuotesTheLog(t *testing.T) {
	dir := t.TempDir()
	p, err := startProcess("unlucky", "/bin/sh", filepath.Join(dir, "log"), "-c", "echo port is taken >&2; exit 3")
	if err != nil {
		t.Fatal(err)
	}
	never := httpProbe("unlucky", "http://127.0.0.1:1/", nil)
	err = awaitProbe(t.Context(), never, []*process{p})
	if err == nil || !strings.Contains(err.Error(), "port is taken") || !strings.Contains(err.Error(), "exit status 3") {
		t.Errorf("error = %v, want the exit status and the end of the log", err)
	}
}

func TestStateDirRefusesUsedFolder(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "etcd"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, _, err := stateDir(dir, "x-"); err == nil {
		t.Error("a folder with old state was accepted: its keys would not match the new ones")
	}
}
