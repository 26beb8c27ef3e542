#!/bin/sh
# Installs Debian packages, as root. Usage: apt-install.sh PACKAGE...
# It waits while another apt is at work. Lists that cannot be fetched are no end: the ones of before may do.
set -eu
export DEBIAN_FRONTEND=noninteractive
patient="-o Acquire::Retries=5 -o DPkg::Lock::Timeout=600"
# shellcheck disable=SC2086  # options, split on purpose
apt-get $patient update -qq || echo "the lists of packages are as old as they were" >&2
# shellcheck disable=SC2086
apt-get $patient install -y -qq --no-install-recommends "$@" >/dev/null
