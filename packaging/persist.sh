#!/bin/sh
# Runs a command; when it fails, runs it again after a pause, four times in all. Usage: persist.sh COMMAND...
# For what fetches from elsewhere: a mirror that does not answer, or breaks off, may answer in a moment.
set -eu
for pause in 5 20 60; do
    "$@" && exit 0
    echo "this failed, and is tried again in $pause s: $*" >&2
    sleep "$pause"
done
exec "$@"
