#!/usr/bin/env bash
# check_tree.sh PRESET PATTERN [TARGET...]: configures build/PRESET, builds it (or only those targets), and runs its unit
# tests of names that match PATTERN; "-" runs none.
set -euo pipefail
preset=$1 pattern=$2
shift 2
jobs=$(nproc)
began=$SECONDS
cmake --preset "$preset"
cmake --build --preset "$preset" -j "$jobs" ${1:+--target "$@"}
echo "== built in $((SECONDS - began)) s"
[ "$pattern" != - ] || exit 0

export TSAN_OPTIONS="halt_on_error=1 second_deadlock_stack=1 ${TSAN_OPTIONS:-}"
export UBSAN_OPTIONS="print_stacktrace=1 ${UBSAN_OPTIONS:-}"
run=()
# These compare results of many ways to the same memory, which other tests take too.
if [ "$preset" = asan-ubsan ]; then export GTEST_FILTER='-*Bits.*:*.APairHasItsBits*:MiniLMRounded.*'; fi
# Threads meet in the same places whatever the instruction set, and plain C++ is by far the slowest one; and in these tests
# where they meet in many others.
if [ "$preset" = tsan ]; then export GTEST_FILTER='-*.APairHasItsBits*:MiniLMRounded.*'; fi
if [ "$preset" = tsan ] && [ "$(uname -m)" = x86_64 ]; then GTEST_FILTER+=':*/generic'; fi
# The thread sanitizer of g++ 12 cannot cope with the address randomisation of newer kernels.
if [ "$preset" = tsan ] && setarch "$(uname -m)" -R true 2>/dev/null; then run=(setarch "$(uname -m)" -R); fi
"${run[@]}" ctest --test-dir "build/$preset" --output-on-failure --no-tests=error -L unit -R "$pattern" -j "$jobs"
