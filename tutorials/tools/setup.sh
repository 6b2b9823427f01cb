#!/bin/sh
# Build an environment, unless the one that is there was built from the same file: sh setup.sh KIND, where KIND is
#   default    .venv            from requirements.lock
#   torchtext  .venv-torchtext  from requirements-torchtext.lock
#   latest     .venv-latest     the newest packages that pyproject.toml allows
#   lowest     .venv-lowest     the oldest direct dependencies that pyproject.toml allows
# From the environment: PYTHON names the Python to use, TORCH=cpu takes the builds of torch without CUDA.
set -eu

fail() {
  echo "setup: $1" >&2
  exit 1
}

folder=.venv-$1 oldest=11 newest=14 wanted=3.13 debian=python3 source=pyproject.toml
case $1 in
  default) folder=.venv source=requirements.lock ;;
  torchtext) newest=12 wanted=3.12 debian=python3.12 source=requirements-torchtext.lock ;;
  lowest) newest=12 wanted=3.12 debian=python3.12 ;;
  latest) ;;
  *) fail "there is no environment $1: default, torchtext, latest or lowest" ;;
esac
case ${TORCH:-} in
  '' | cpu) ;;
  *) fail "TORCH=$TORCH: the only choice is TORCH=cpu, torch without CUDA" ;;
esac

case $(uname -s) in
  MINGW* | MSYS* | CYGWIN*) python=$folder/Scripts/python.exe ;;
  *) python=$folder/bin/python ;;
esac
# The copy of the source that ends a build tells whether it is still the right one.
if cmp -s "$source" "$folder/.ready" && [ -x "$python" ] && { [ -z "${TORCH:-}" ] || [ -e "$folder/.cpu" ]; }; then
  exit 0
fi

# --- which Python ---

suits() { # is it in range?
  "$1" -c "import sys; sys.exit(not (3, $oldest) <= sys.version_info[:2] <= (3, $newest))" 2>/dev/null
}
version() {
  "$1" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null || true
}

kind=$1 found='' without_pip='' others=''
set -- python3 python3.13 python3.14 python3.12 python3.11 python
[ -z "${PYTHON:-}" ] || set -- "$PYTHON"
for candidate; do
  if suits "$candidate"; then
    if "$candidate" -c 'import venv, ensurepip' 2>/dev/null; then
      found=$candidate
      break
    fi
    without_pip=${without_pip:-$candidate}
  elif [ -n "$(version "$candidate")" ]; then
    others="$others, $candidate is $(version "$candidate")"
  fi
done
uv=$(command -v uv || true)
range="Python 3.$oldest to 3.$newest"
by_uv="or install uv (docs.astral.sh/uv), which brings its own Python"
[ -z "${PYTHON:-}" ] || [ -n "$found$without_pip" ] || fail "PYTHON=$PYTHON is not $range${others:+:${others#,}}"
if [ -z "$uv" ] && [ -z "$found" ]; then
  if [ -n "$without_pip" ]; then
    short=$(version "$without_pip")
    fail "$without_pip ($short) cannot make environments with pip. Debian/Ubuntu: sudo apt install python$short-venv;\
 Fedora: sudo dnf install python3-pip; macOS: brew install python@$short;\
 Windows: winget install Python.Python.$short; $by_uv"
  fi
  fail "needs $range${others:+;${others#,}}. Debian/Ubuntu: sudo apt install $debian $debian-venv;\
 Fedora: sudo dnf install python$wanted; macOS: brew install python@$wanted;\
 Windows: winget install Python.Python.$wanted; $by_uv"
fi
command -v git >/dev/null 2>&1 || echo "setup: git is missing; all but a few tests do without it. Debian/Ubuntu:\
 sudo apt install git; Fedora: sudo dnf install git; macOS: xcode-select --install; Windows: winget install Git.Git"

# --- what it costs ---

case $(uname -s)-$kind-${TORCH:-} in
  Linux-*-cpu) size="about 0.5 GB" ;;
  Linux-torchtext-*) size="2.9 GB" ;;
  Linux-*) size="3.2 GB" ;;
  *-torchtext-*) size="0.3 to 0.6 GB" ;;
  *) size="about 0.4 GB" ;;
esac
echo "setup: building $folder from $source: $size to download, less what an earlier download left in the cache"
if [ "$(uname -s)${TORCH:-}" = Linux ] && [ ! -e /proc/driver/nvidia/version ]; then
  echo "setup: no NVIDIA driver was found: make setup TORCH=cpu leaves CUDA out, about 0.5 GB instead of $size"
fi

# --- build ---

if [ -n "$uv" ]; then
  "$uv" venv --quiet --clear --python "${found:-${without_pip:-$wanted}}" "$folder"
else
  "$found" -m venv --clear "$folder"
  case ${TORCH:-}-$kind in
    *cpu-* | *-lowest) # only uv knows where PyTorch keeps these builds, and how to take the oldest versions
      "$python" -m pip install --quiet --disable-pip-version-check --target "$folder/uv" uv
      uv=$folder/uv/bin/uv
      ;;
  esac
fi
install() {
  if [ -n "$uv" ]; then
    "$uv" pip install --python "$python" "$@"
  else
    "$python" -m pip install --disable-pip-version-check "$@"
  fi
}

case $kind in
  latest) install --upgrade '.[test]' && rm -rf build pytorch_study.egg-info ;;
  lowest) install --resolution lowest-direct --requirement pyproject.toml --extra test ;;
  *)
    if [ "${TORCH:-}" = cpu ]; then
      # The lock has the hashes of PyPI's builds; PyTorch's own CPU builds have others, and come over https alone.
      torch=$(sed -n 's/^\(torch\(vision\)\{0,1\}==[0-9.]*\).*/\1/p' "$source")
      # shellcheck disable=SC2086 # two requirements
      install --torch-backend cpu $torch
      awk '/^[a-z]/ { skip = /^(torch|torchvision|triton|nvidia-[a-z0-9-]*|cuda-[a-z-]*)==/ } !skip' \
        "$source" >"$folder/without-cuda.txt"
      install --require-hashes --no-deps --requirement "$folder/without-cuda.txt"
      touch "$folder/.cpu"
    else
      install --require-hashes --requirement "$source"
    fi
    ;;
esac
# A script that is started by its path, from whatever folder, finds the packages of this checkout.
"$python" -c 'import os, sysconfig
with open(os.path.join(sysconfig.get_path("purelib"), "study.pth"), "w") as file: print(os.getcwd(), file=file)'
cp "$source" "$folder/.ready.part" && mv "$folder/.ready.part" "$folder/.ready"
