// Package crds carries the generated CustomResourceDefinitions.
package crds

import "embed"

// FS holds one YAML file per CustomResourceDefinition.
//
//go:embed *.yaml
var FS embed.FS
