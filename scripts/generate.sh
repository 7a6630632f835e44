#!/usr/bin/env bash
# Regenerates everything that is generated: deep copies, CRDs, protobuf and gRPC code, and the page of reason codes.
set -euo pipefail
cd "$(dirname "$0")/.."
programs=$(go run ./tools/cmd/toolchain --quiet codegen)
tool() { sed -n "s|^$1=||p" <<<"$programs"; }
controller_gen=$(tool controller-gen)
buf=$(tool buf)
PATH="$(dirname "$(tool protoc-gen-go)"):$PATH"
export PATH

cd api
"$controller_gen" object paths=./v1beta1/...
"$controller_gen" crd:headerFile=/dev/null paths=./v1beta1/... output:crd:dir=./crds
rm -rf gen
"$buf" lint
"$buf" generate

cd ..
go run ./tools/cmd/reasons >docs/reasons.md
