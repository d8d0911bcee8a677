#!/usr/bin/env bash
# neon_fast.sh: the tests of the matrix instruction BFMMLA (ops/fast_test.cpp), built for AArch64 and run under emulation
# (qemu-user, whose CPU has FEAT_BF16), with and without optimisation.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
qemu=$(command -v qemu-aarch64 || command -v qemu-aarch64-static)
gtest=/usr/src/googletest/googletest  # of the package googletest, which libgtest-dev brings
[ -f "$gtest/src/gtest-all.cc" ] || { echo "neon_fast.sh: no $gtest/src/gtest-all.cc: install googletest" >&2; exit 1; }
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT

arm=(aarch64-linux-gnu-g++ -std=c++20 -static -pthread -isystem "$gtest/include")
"${arm[@]}" -O1 -I"$gtest" -c "$gtest/src/gtest-all.cc" -o "$out/gtest.o"
"${arm[@]}" -O1 -I"$gtest" -c "$gtest/src/gtest_main.cc" -o "$out/main.o"
for level in -O2 -O0; do
  # Named, as a run of all would ask whether bounds of tests that are not here are tight.
  wanted='MatrixUnit.*:Bfmmla.*:FastContext.*'
  if [ $level = -O0 ]; then wanted='MatrixUnit.E*:MatrixUnit.R*:MatrixUnit.S*'; fi  # few numbers each: emulation is slow
  "${arm[@]}" $level -Wall -Wextra -Wconversion -Wshadow -Werror -Iinclude -Ikernels -Itests \
    tests/ops/fast_test.cpp "$out/gtest.o" "$out/main.o" -o "$out/fast_test"
  "$qemu" -cpu max "$out/fast_test" --gtest_filter="$wanted" | tee "$out/log"
  if grep -q SKIPPED "$out/log" || ! grep -q 'OK.*MatrixUnit.SpecialNumbersOfBfmmla' "$out/log"; then
    echo "neon_fast.sh: a test was skipped: does this qemu emulate FEAT_BF16?" >&2
    exit 1
  fi
done
