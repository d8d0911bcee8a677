#!/usr/bin/env bash
# Every C++ file reads as .clang-format says. Mend with: clang-format -i FILE
# Compares texts: --dry-run of clang-format 14 also complains of some lines that it would not change.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
clang-format --version
changes=$(mktemp)
trap 'rm -f "$changes"' EXIT
files=0 wrong=0
while IFS= read -r file; do
  files=$((files + 1))
  if ! clang-format --style=file "$file" | diff -u "$file" - >"$changes"; then
    echo "$file is not formatted:"
    sed -n '3,12p' "$changes"
    wrong=1
  fi
done < <(python3 tests/structure/tree.py .hpp .inl .cpp .cuh .cu)
echo "$files files"
[ $files -gt 0 ] || { echo "found no file to look at" >&2; exit 1; }
exit $wrong
