#!/usr/bin/env bash
# Lints every module of the workspace with the pinned golangci-lint.
#
# usage: scripts/lint.sh [CONFIG] [golangci-lint run arguments]
#
# CONFIG is a file in the root folder, .golangci.yml by default.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$root"

config=.golangci.yml
if [[ ${1:-} == *.yml ]]; then
	config=$1
	shift
fi

lint=$(go run ./tools/cmd/toolchain golangci-lint)
lint=${lint#golangci-lint=}

failed=()
while read -r module; do
	name=${module#"$root"/}
	# A linter that finds nothing to look at fails.
	if [[ -z $(cd "$module" && go list -tags integration,e2e,chaos,load ./... 2>/dev/null) ]]; then
		echo "lint: $name: no packages"
		continue
	fi
	echo "lint: $name"
	# Editors and other shells may lint at the same time.
	(cd "$module" && "$lint" run --config "$root/$config" --allow-parallel-runners "$@" ./...) || failed+=("$name")
done < <(go list -m -f '{{.Dir}}')

if ((${#failed[@]})); then
	echo "lint: failed: ${failed[*]}" >&2
	exit 1
fi
