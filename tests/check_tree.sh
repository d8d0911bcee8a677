#!/usr/bin/env bash
# check_tree.sh PRESET [PATTERN]: configures and builds build/PRESET; with PATTERN, runs its ctest tests of those names.
set -euo pipefail
preset=$1 pattern=${2:-}
jobs=$(nproc)
cmake --preset "$preset"
if [ -z "$pattern" ]; then
  cmake --build --preset "$preset" -j "$jobs"
  exit
fi
cmake --build --preset "$preset" -j "$jobs"
export TSAN_OPTIONS="halt_on_error=1 second_deadlock_stack=1 ${TSAN_OPTIONS:-}"
export UBSAN_OPTIONS="print_stacktrace=1 ${UBSAN_OPTIONS:-}"
run=()
# The thread sanitizer of g++ 12 cannot cope with the address randomisation of newer kernels.
if [ "$preset" = tsan ] && setarch "$(uname -m)" -R true 2>/dev/null; then run=(setarch "$(uname -m)" -R); fi
"${run[@]}" ctest --test-dir "build/$preset" --output-on-failure --no-tests=error -L unit -R "$pattern" -j "$jobs"
