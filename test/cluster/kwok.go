package cluster

import (
	_ "embed"
	"fmt"
	"os"

	"github.com/vpsie/vpsie-autoscaler/test/process"
)

// NodeAnnotation and NodeAnnotationValue mark a Node that KWOK keeps alive in the place of a kubelet.
const (
	NodeAnnotation      = "kwok.x-k8s.io/node"
	NodeAnnotationValue = "fake"
)

// kwokConfig says what happens to the Nodes and pods that KWOK looks after.
//
//go:embed kwok.yaml
var kwokConfig []byte

func (c *Cluster) startKWOK() (process.Probe, error) {
	port, err := process.FreePort()
	if err != nil {
		return nil, err
	}
	file := c.path("kwok.yaml")
	if err := os.WriteFile(file, kwokConfig, 0o644); err != nil {
		return nil, err
	}
	address := fmt.Sprintf("127.0.0.1:%d", port)
	_, err = c.run("kwok",
		"--kubeconfig="+c.path("kwok.kubeconfig"),
		"--config="+file,
		"--manage-all-nodes=false",
		"--manage-nodes-with-annotation-selector="+NodeAnnotation+"="+NodeAnnotationValue,
		"--node-lease-duration-seconds=40",
		"--server-address="+address,
		"--v=WARN",
	)
	if err != nil {
		return nil, err
	}
	return process.HTTPProbe("kwok", "http://"+address+"/healthz", nil), nil
}
