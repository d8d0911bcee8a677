#!/usr/bin/env bash
# clang-tidy over every public header, headers only, so that all bodies are seen. The checks are .clang-tidy's.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
mkdir -p build
unit=build/tidy.cpp
{
  (cd include && find tessera -name '*.hpp' ! -name '*-inl.hpp' | sort | sed 's/.*/#include <&>/')
  echo 'int main() {}'
} >"$unit"
clang-tidy --version | grep -i version
clang-tidy --quiet "$unit" -- -std=c++20 -Iinclude -Ikernels
