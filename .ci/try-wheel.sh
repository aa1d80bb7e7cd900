#!/usr/bin/env bash
# Installs a wheel into an environment of its own and runs it from an empty folder, away from the sources. Its libraries
# are those of the environment of PYTHON: it is the wheel that is tried, and nothing has to be loaded.
#
#   .ci/try-wheel.sh PYTHON WHEEL
set -euo pipefail
python=$(realpath -s "${1:?which Python}")
wheel=$(realpath "${2:?which wheel}")

most=$((3 * 1024 * 1024))
size=$(wc -c <"$wheel")
if [ "$size" -gt "$most" ]; then
    echo "$wheel has $size bytes, more than the $most it may have." >&2
    exit 1
fi

empty=$(mktemp -d)
trap 'rm -rf "$empty"' EXIT
"$python" -m venv --without-pip "$empty/venv"
tried=$empty/venv/bin/python
"$python" -m pip --python "$tried" install --quiet --disable-pip-version-check --no-deps --no-index "$wheel"
own=$("$tried" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
"$python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))' >"$own/libraries.pth"

cd "$empty"
unset PYTHONPATH
"$tried" - <<PROGRAM
from pathlib import Path

import napari_autostructn2v
from napari_autostructn2v import analyze
from napari_autostructn2v.recorded import two_scans

assert Path(napari_autostructn2v.__file__).is_relative_to("$own"), napari_autostructn2v.__file__
print(analyze(two_scans().array[:1, :256, :256]).verdict.summary)
PROGRAM
"$empty/venv/bin/autostructn2v" --version
"$empty/venv/bin/autostructn2v" config --preset fast >settings.toml
echo "The wheel runs: $size bytes."
