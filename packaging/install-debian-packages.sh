#!/bin/sh
# Installs the Debian packages of a list that are missing. Usage: install-debian-packages.sh LIST
# Without root, or on another system, it says what is missing and goes on: the tests that need it then say so
# (with CI=true they fail).
set -eu
list=$1
wanted=$(sed -e 's/#.*//' -e 's/[[:space:]].*//' -e '/^$/d' "$list")

if ! command -v dpkg-query >/dev/null 2>&1; then
    echo "not Debian: install these by hand if something misses them: $(echo $wanted)"
    exit 0
fi
missing=""
for package in $wanted; do
    state=$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null || true)
    [ "$state" = installed ] || missing="$missing $package"
done
[ -n "$missing" ] || exit 0
if [ "$(id -u)" -ne 0 ]; then
    echo "not root, so these Debian packages stay missing:$missing"
    echo "  install them with: sudo apt-get install$missing"
    exit 0
fi
echo "installing Debian packages:$missing"
here=$(dirname "$0")
# shellcheck disable=SC2086  # a list of package names, split on purpose
"$here/persist.sh" "$here/apt-install.sh" $missing
