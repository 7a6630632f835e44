#!/usr/bin/env bash
# Runs every fuzz test of the workspace for a while.
#
# usage: scripts/fuzz.sh [TIME]
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

time=${1:-20s}
found=0
while read -r package; do
	while read -r name; do
		found=$((found + 1))
		echo "fuzz: $package $name for $time"
		go test -run '^$' -fuzz "^$name\$" -fuzztime "$time" "$package"
	done < <(go test -list '^Fuzz' "$package" | grep '^Fuzz' || true)
done < <(go list work)
echo "fuzz: $found tests"
