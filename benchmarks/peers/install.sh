#!/usr/bin/env bash
# One virtual environment for each peer, DIR/careamics, DIR/pystripe and DIR/bm3d, with the versions of the .txt
# files beside this script. What is there already is left as it is. A peer that fails to install does not keep the
# others from it; the exit code is then 1.
#
#   benchmarks/peers/install.sh DIR              another interpreter: PYTHON=python3.12 benchmarks/peers/install.sh DIR
#
# The lists are complete and go in without what their packages ask for: pystripe would have the NumPy of 2020,
# CAREamics a torchvision that needs another PyTorch than ours. Only PyTorch brings its own dependencies, which
# on Linux include CUDA (gigabytes) unless pip finds the build for the CPU.
set -uo pipefail

dir=${1:?usage: $0 DIR}
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
python=${PYTHON:-python3}

install() {
    local venv=$dir/$1 list=$here/$1.txt
    if cmp --silent "$list" "$venv/installed.txt"; then
        echo "$1: already installed in $venv"
        return
    fi
    "$python" -m venv --clear "$venv" || return
    local pip=("$venv/bin/python" -m pip install --quiet --disable-pip-version-check)
    local torch
    torch=$(grep '^torch==' "$list") && { "${pip[@]}" "$torch" || return; }
    "${pip[@]}" --no-deps -r "$list" || return
    cp "$list" "$venv/installed.txt"
    echo "$1: installed in $venv"
}

mkdir -p "$dir"
failed=()
for peer in careamics pystripe bm3d; do
    install "$peer" || failed+=("$peer")
done
if [ "${#failed[@]}" -ne 0 ]; then
    echo "Not installed: ${failed[*]}" >&2
    exit 1
fi
