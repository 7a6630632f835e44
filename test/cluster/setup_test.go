package cluster

import (
	"crypto/x509"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

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

func TestStateDirRefusesUsedFolder(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "etcd"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, _, err := stateDir(dir, "x-"); err == nil {
		t.Error("a folder with old state was accepted: its keys would not match the new ones")
	}
}
