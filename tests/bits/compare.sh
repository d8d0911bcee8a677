#!/usr/bin/env bash
# compare.sh native|neon: builds dump.cpp in many ways, runs each on every instruction set it has, and compares what they
# print, byte by byte, with g++ -O2 on the generic kernels. NEON runs under emulation (qemu-user).
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
mode=$1
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
compared=0 failed=0

build() {  # build NAME COMPILER FLAGS...
  local name=$1
  shift
  "$@" -std=c++20 -Iinclude -Ikernels -Itests tests/bits/dump.cpp -o "$out/$name" -pthread
}
check() {  # check LABEL COMMAND...: its lines are the reference's
  local label=$1
  shift
  "$@" >"$out/lines"
  if cmp -s "$out/reference" "$out/lines"; then
    echo "   the same: $label"
  else
    echo "   DIFFERENT: $label"
    diff "$out/reference" "$out/lines" | head -n 10
    failed=1
  fi
  compared=$((compared + 1))
}

build reference.bin g++ -O2
TESSERA_ISA=generic "$out/reference.bin" 1 >"$out/reference"
echo "reference: g++ -O2, generic, 1 thread: $(wc -l <"$out/reference") results"

case "$mode" in
  native)
    isas=generic
    if [ "$(uname -m)" = x86_64 ]; then
      if grep -qw avx2 /proc/cpuinfo && grep -qw fma /proc/cpuinfo; then isas+=" avx2"; fi
      if grep -qw avx512vl /proc/cpuinfo; then isas+=" avx512"; fi
      if grep -qw avx512_vnni /proc/cpuinfo; then isas+=" avx512_vnni"; fi
      if grep -qw avx512_bf16 /proc/cpuinfo && grep -qw avx512_bitalg /proc/cpuinfo && grep -qw avx512_vnni /proc/cpuinfo; then isas+=" avx512_bf16_vnni"; fi
      if grep -qw amx_int8 /proc/cpuinfo && grep -qw amx_bf16 /proc/cpuinfo; then isas+=" amx"; fi
    elif [ "$(uname -m)" = aarch64 ]; then
      isas+=" neon"
      if grep -qw asimddp /proc/cpuinfo; then isas+=" neon_dotprod"; fi
      if grep -qw asimddp /proc/cpuinfo && grep -qw bf16 /proc/cpuinfo; then isas+=" neon_bf16"; fi
    fi
    build clang-O2 clang++ -O2 &
    build g++-O0 g++ -O0
    wait $!
    build clang-O0 clang++ -O0 &
    build g++-O3-native g++ -O3 -march=native
    wait $!
    for isa in $isas; do
      for threads in 1 2 5; do check "g++ -O2, $isa, $threads threads" env TESSERA_ISA="$isa" "$out/reference.bin" $threads; done
      check "g++ -O2, $isa, the caller in flush-to-zero and round-up mode" env TESSERA_ISA="$isa" "$out/reference.bin" 2 other-mode
      for other in g++-O0 g++-O3-native clang-O0 clang-O2; do check "$other, $isa" env TESSERA_ISA="$isa" "$out/$other" 2; done
    done
    ;;
  neon)
    qemu=$(command -v qemu-aarch64 || command -v qemu-aarch64-static)
    build arm-O2 aarch64-linux-gnu-g++ -O2 -static
    for isa in generic neon neon_dotprod neon_bf16; do check "aarch64 g++ -O2, $isa" env TESSERA_ISA=$isa "$qemu" "$out/arm-O2" 2; done
    check "aarch64 g++ -O2, neon, the caller in flush-to-zero and round-up mode" env TESSERA_ISA=neon "$qemu" "$out/arm-O2" 2 other-mode
    build arm-O0 aarch64-linux-gnu-g++ -O0 -static
    for isa in neon neon_dotprod neon_bf16; do check "aarch64 g++ -O0, $isa" env TESSERA_ISA=$isa "$qemu" "$out/arm-O0" 1; done
    ;;
  *)
    echo "usage: compare.sh native|neon" >&2
    exit 2
    ;;
esac
echo "$compared runs compared"
exit $failed
