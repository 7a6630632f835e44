package cluster

import (
	"fmt"
	"os"
	"path/filepath"
)

// AuditLog is where a cluster whose administrator's kubeconfig is the given file records
// the writes of the audited service accounts, if it records any.
func AuditLog(kubeconfig string) string {
	return filepath.Join(filepath.Dir(kubeconfig), "logs", "audit.log")
}

// audit returns the API server's arguments that record writes by the service accounts of a namespace.
func (c *Cluster) audit(namespace string) ([]string, error) {
	policy := fmt.Sprintf(`apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- level: Metadata
  userGroups: ["system:serviceaccounts:%s"]
  verbs: [create, update, patch, delete, deletecollection]
- level: None
`, namespace)
	file := c.path("audit-policy.yaml")
	if err := os.WriteFile(file, []byte(policy), 0o644); err != nil {
		return nil, err
	}
	return []string{
		"--audit-policy-file=" + file,
		"--audit-log-path=" + AuditLog(c.Kubeconfig),
		// Lines are read while the server runs.
		"--audit-log-mode=blocking",
	}, nil
}
