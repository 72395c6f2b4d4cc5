#!/bin/bash
# Runs all tests of a build folder, names what was left out, and ends with ctest's closing line.
#   tests/run.sh BUILD [ctest words...]
set -uo pipefail
build=$1
shift
rm -rf "$build/left-out"
log=$(mktemp)
trap 'rm -f "$log"' EXIT
ctest --test-dir "$build" --output-on-failure -j2 --timeout 900 "$@" | tee "$log"
code=${PIPESTATUS[0]}
if compgen -G "$build/left-out/*.txt" >/dev/null && grep -q . "$build"/left-out/*.txt; then
  echo "Left out on this machine (everything else ran):"
  for file in "$build"/left-out/*.txt; do
    sed "s|^|  $(basename "$file" .txt): |" "$file"
  done
  grep -E "tests passed, .* tests failed" "$log"
fi
exit "$code"
