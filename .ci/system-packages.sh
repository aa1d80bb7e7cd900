#!/usr/bin/env bash
# Checks for the system packages that a task needs, and installs what is missing where it may: as root on Debian
# and Ubuntu. Elsewhere it says what to install and fails.
#
#   .ci/system-packages.sh venv PYTHON   that PYTHON can make virtual environments
#   .ci/system-packages.sh qt            what Qt's wheels need to open a window
#   .ci/system-packages.sh tests         the same, and a virtual screen
set -euo pipefail

qt=(
    libgl1 libgl1-mesa-dri libegl1 libfontconfig1 libglib2.0-0 libdbus-1-3 libxkbcommon-x11-0 libxcb-cursor0
    libxcb-icccm4 libxcb-keysyms1 libxcb-shape0 libxcb-image0 libxcb-randr0 libxcb-render-util0 libxcb-sync1
    libxcb-xfixes0 libxcb-xkb1 libx11-xcb1 fonts-dejavu-core
)
screen=(xvfb xauth)

need() {
    case "${1:-}" in
        venv)
            python=${2:?which Python}
            "$python" -c 'import ensurepip' 2>/dev/null || "$python" -c \
                'import sys; print("python{}.{}-venv".format(*sys.version_info))'
            ;;
        qt) printf '%s\n' "${qt[@]}" ;;
        tests) printf '%s\n' "${screen[@]}" "${qt[@]}" ;;
        *)
            echo "usage: $0 venv PYTHON | qt | tests" >&2
            exit 2
            ;;
    esac
}

# Names as dpkg knows them, and those that installed packages stand in for (libglib2.0-0t64 for libglib2.0-0).
installed() {
    # shellcheck disable=SC2016  # dpkg's own placeholders
    dpkg-query --show --showformat='${db:Status-Status}\t${Package}, ${Provides}\n' |
        awk -F '\t' '$1 == "installed" { gsub(/\([^)]*\)|,/, " ", $2); print $2 }' | tr -s ' ' '\n' | sort -u
}

needed=$(need "$@")
if [ -z "$needed" ] || [ "$(uname)" != Linux ]; then
    exit 0
fi
if ! command -v dpkg-query >/dev/null || ! command -v apt-get >/dev/null; then
    if [ "$1" = qt ] || { [ "$1" = tests ] && command -v xvfb-run >/dev/null; }; then
        exit 0 # cannot tell here; Qt says itself which library it misses
    fi
    echo "Please install what your system calls these Debian packages:" "${needed//$'\n'/ }" >&2
    exit 1
fi

mapfile -t missing < <(comm -23 <(sort -u <<<"$needed") <(installed))
if [ "${#missing[@]}" -eq 0 ]; then
    exit 0
fi
if [ "$(id -u)" -ne 0 ]; then
    printf 'Missing system packages. Please run:\n  sudo apt-get update && sudo apt-get install %s\n' "${missing[*]}" >&2
    exit 1
fi
echo "Installing system packages: ${missing[*]}"
export DEBIAN_FRONTEND=noninteractive
apt-get update --quiet </dev/null
apt-get install --quiet --yes --no-install-recommends "${missing[@]}" </dev/null
