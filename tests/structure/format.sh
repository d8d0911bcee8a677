#!/usr/bin/env bash
# Every C++ file reads as .clang-format says. Mend with: clang-format -i FILE
set -euo pipefail
clang-format --version
git ls-files -z '*.hpp' '*.inl' '*.cpp' | xargs -0 clang-format --style=file --dry-run -Werror
