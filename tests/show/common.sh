# Sourced by the show scripts: the release build they look at, a daemon, and the closing line.
#
# Each script shows one line of what its issue promises, and ends with `SHOWN …` and 0 or with
# `NOT SHOWN …` and 1. VARVED names a daemon to look at instead of the one built here,
# SHOW_BUILD a folder of meson's in which all is built already.

root=$(cd "$(dirname "$0")/../.." && pwd)
build=${SHOW_BUILD:-$root/build-show}
work=
daemon=

fail() {
    echo "NOT SHOWN $title: $*"
    exit 1
}

shown() {
    echo "SHOWN $title: $*"
    exit 0
}

clean_up() {
    [ -z "$daemon" ] || kill -9 "$daemon" 2>/dev/null
    [ -z "$work" ] || rm -rf "$work"
}
trap clean_up EXIT
trap 'exit 1' INT TERM

build_all() {
    [ -f "$build/build.ninja" ] || meson setup "$build" "$root" --buildtype=release >/dev/null ||
        fail "meson setup"
    ninja -C "$build" >"$build/show.log" 2>&1 || {
        tail -20 "$build/show.log"
        fail "the build"
    }
}

# Builds everything, sets VARVED, makes a folder for the run on the disk of the checkout.
prepare() {
    unset VARVE_LISTEN VARVE_DATA_DIR VARVE_CONFIG
    [ -n "${SHOW_BUILD:-}" ] || build_all
    VARVED=${VARVED:-$build/src/programs/varved}
    [ -x "$VARVED" ] || fail "no daemon at $VARVED"
    export VARVED
    work=$(mktemp -d "$build/show-XXXXXX") || fail "no folder to work in"
}

# start_varved: on $work/data and port $port, ready when this returns.
port=$((20000 + $$ % 10000))
address=127.0.0.1:$port
start_varved() {
    "$VARVED" --listen "$address" --data-dir "$work/data" 2>>"$work/varved.log" &
    daemon=$!
    wait_for "http://$address/health/ready"
}

# wait_for URL: until it answers 200, for a minute.
wait_for() {
    tries=0
    until curl -sf -o /dev/null --max-time 5 "$1"; do
        tries=$((tries + 1))
        if [ $tries -gt 600 ] || ! kill -0 "$daemon" 2>/dev/null; then
            tail -20 "$work/varved.log"
            fail "the daemon is not ready"
        fi
        sleep 0.1
    done
}

# Ends it as an init system does.
stop_varved() {
    kill -TERM "$daemon"
    wait "$daemon"
    status=$?
    daemon=
    [ $status = 0 ] || {
        tail -20 "$work/varved.log"
        fail "the daemon ended with $status"
    }
}

kill_varved() {
    kill -9 "$daemon"
    wait "$daemon" 2>/dev/null
    daemon=
}
