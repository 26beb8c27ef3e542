#!/bin/sh
# Makes a virtual environment. Usage: create-venv.sh PYTHON FOLDER
# Debian splits venv off into a package of its own; root gets it installed, others are told.
set -eu
python=$1
folder=$2
if ! "$python" -c 'import sys; sys.exit(sys.version_info < (3, 10))'; then
    echo "Snaphold needs Python 3.10 or newer; $python is $("$python" -V 2>&1). Choose one with PYTHON=..." >&2
    exit 1
fi
if ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
    package="python$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')-venv"
    if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null 2>&1; then
        echo "$python cannot make virtual environments; install it with: sudo apt-get install $package" >&2
        exit 1
    fi
    echo "installing $package"
    here=$(dirname "$0")
    "$here/persist.sh" "$here/apt-install.sh" "$package"
fi
"$python" -m venv "$folder"
