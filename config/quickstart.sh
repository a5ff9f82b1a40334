#!/bin/sh
# Tries varve out: installs what is missing on Debian 12, makes a release build in ./build and runs
# varved in the foreground on 127.0.0.1:7070 with its data in ./data. Ctrl-C ends it cleanly.
# Arguments are passed on to varved; `--data-dir DIR` puts the data elsewhere.
set -eu
cd "$(dirname "$0")/.."

# Debian's own programs, whatever else the machine has in its path or names as its compiler.
PATH=/usr/sbin:/usr/bin:/sbin:/bin:$PATH
CC=gcc
export PATH CC

. config/packages.sh
# shellcheck disable=SC2086 # a list of names
install_packages $build_packages

[ -f build/build.ninja ] || meson setup build -Dbuildtype=release -Dtests=false
ninja -C build

# The address is varved's own default.
VARVE_DATA_DIR=${VARVE_DATA_DIR:-data}
export VARVE_DATA_DIR
exec build/src/programs/varved "$@"
