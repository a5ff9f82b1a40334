#!/bin/sh
# Installs what is missing on Debian 12, builds, and runs every default test.
#
#   tests/run.sh [quick|long] [PART...] [--list]
#
# quick (the default) takes about eleven minutes on two cores once the packages are there;
# long lets the tests that draw or go through many cases do so for hours (tests/lib/budget.h).
# PARTS are the names in the list below, all of them by default. A part that hangs is ended and
# counts as failed: each has five times the seconds that it takes alone on two cores with all that
# it builds, for a machine may be busy. One line a part is printed, with its seconds and those of
# all processors that it used, and details where something failed; all that a part said is kept in
# build-log/. The last line counts the test cases of all parts. Exits 1 if any failed. --list only
# says what would run.
#
# VARVE_SEED seeds the random tests (a fresh seed by default, printed). VARVE_BUDGET_S sets the
# seconds of all parts together; each has its share of them.
set -u
cd "$(dirname "$0")/.." || exit 1

# Debian's own programs, whatever else the machine has in its path or sets for its compiler.
PATH=$PWD/build-tools:$PWD/build-tools/npm/node_modules/.bin:/usr/sbin:/usr/bin:/sbin:/bin:$PATH
CK_FORK=no
LC_ALL=C.UTF-8
export PATH CK_FORK LC_ALL
unset CC CFLAGS CPPFLAGS LDFLAGS DESTDIR PKG_CONFIG_PATH PKG_CONFIG_LIBDIR LD_LIBRARY_PATH

parts="lint gcc clang asan tsan api install readme systemd"
budget_of() {
    case $1 in
    lint) echo 30 ;;
    gcc) echo 155 ;;
    clang) echo 60 ;;
    asan) echo 230 ;;
    tsan) echo 145 ;;
    api) echo 90 ;;
    install) echo 60 ;;
    readme) echo 90 ;;
    systemd) echo 60 ;;
    esac
}
quick_s=920 # the sum of the above
quick_limit_s=$((5 * quick_s))
long_s=$((24 * 3600))

. config/packages.sh
test_packages="check clang clang-format python3 python3-jsonschema curl openssl systemd
    libleveldb-dev librocksdb-dev"

# The package would start the server on installation: take only the programs from it.
install_prometheus() {
    command -v prometheus >/dev/null && command -v promtool >/dev/null && return 0
    echo "Fetching prometheus"
    mkdir -p build-tools/package && (
        cd build-tools/package &&
            apt-get -qq -o APT::Sandbox::User=root download prometheus </dev/null &&
            dpkg-deb --fsys-tarfile prometheus_*.deb |
            tar -xf - ./usr/bin/prometheus ./usr/bin/promtool &&
            mv usr/bin/prometheus usr/bin/promtool ..
    ) && rm -r build-tools/package
}

has_node() {
    command -v npm >/dev/null &&
        node -e 'process.exit(parseInt(process.versions.node) < 18 ? 1 : 0)' 2>/dev/null
}

# Exactly what the lock file names. It is copied last, so that it stands for a whole installation.
install_node_tools() {
    cmp -s tests/api/package-lock.json build-tools/npm/installed-lock.json && return 0
    has_node || install_packages nodejs npm || return 1
    echo "Installing what tests/api/package-lock.json names"
    mkdir -p build-tools/npm &&
        cp tests/api/package.json tests/api/package-lock.json build-tools/npm &&
        npm ci --prefix build-tools/npm --ignore-scripts --no-audit --no-fund --loglevel=error \
            </dev/null &&
        cp tests/api/package-lock.json build-tools/npm/installed-lock.json
}

# One test that is a command. What it says goes to a file, and into the log if it fails; if the time
# runs out in the middle, run_part finds the file.
step() {
    name=$1
    shift
    if "$@" >"$step_log" 2>&1; then
        echo "$name: 1 passed, 0 failed, 0 skipped"
        rm "$step_log"
    else
        cat "$step_log"
        rm "$step_log"
        echo "$name: 0 passed, 1 failed, 0 skipped"
        return 1
    fi
}

# Sets up a directory for this compiler and these options, anew when they have changed, and builds.
build() {
    set_up "$@" && ninja -C "$directory" --quiet
}

set_up() {
    directory=$1 compiler=$2
    shift 2
    if [ "$(cat "$directory/run-options" 2>/dev/null)" != "$compiler $*" ]; then
        rm -rf "$directory"
        said=$(CC=$compiler meson setup "$directory" "$@" 2>&1) || {
            echo "$said"
            return 1
        }
        echo "$compiler $*" >"$directory/run-options"
    fi
    said=$(ninja -C "$directory" build.ninja 2>&1) || {
        echo "$said"
        return 1
    }
}

# The release. The tests themselves are optimised no more than the warnings about lengths need to be
# exact, and linked by the quicker linker.
build_release() {
    build build-gcc gcc -Dbuildtype=release -Dwerror=true \
        -Dtest_args=-O1,-finline-small-functions,-ftree-vrp,-fipa-cp,-fipa-vrp \
        -Dtest_link_args=-fuse-ld=gold
}

# Builds only what the tests of $suites need. Lines of the source are all that is told of a failure,
# and speed is of the build and the tests together: the tests' own sources are not optimised. gcc
# does not warn, for it is not exact in code that a sanitizer has changed, and has done so before.
build_sanitized() {
    set_up "$1" gcc -Dbuildtype=debugoptimized -Doptimization=1 '-Dc_args=-g1 -w' -Dtest_args=-O0 \
        -Dc_link_args=-fuse-ld=gold "-Db_sanitize=$2" || return 1
    # shellcheck disable=SC2046,SC2086 # lists
    ninja -C "$directory" --quiet $(python3 tests/needed.py "$directory" $suites)
}

# Runs meson's tests in a directory and counts their cases; further arguments choose and steer them.
run_tests() {
    name=$1 directory=$2
    shift 2
    rm -f "$directory/meson-logs/testlog.json"
    if [ "$suite" = quick ]; then
        set -- "$@" --timeout-multiplier 4 # a busy machine is no hang
    else
        set -- "$@" --timeout-multiplier 0 # the part's own budget is the limit
    fi
    # Many tests wait more than they compute.
    $launcher meson test -C "$directory" --no-rebuild --num-processes $(($(nproc) + 3)) "$@" \
        >"$step_log" 2>&1
    rm "$step_log"
    python3 tests/count.py "$name" "$directory"
}

part_lint() {
    python3 tests/lint/lint.py
    step lint-itself python3 tests/lint/test_lint.py
    step count-itself python3 tests/lint/test_count.py
}

part_gcc() {
    step gcc-build build_release &&
        run_tests gcc build-gcc --no-suite api
}

# What warns is clang, and gcc has shown that all can be built.
part_clang() {
    step warn-itself python3 tests/lint/test_warn.py
    step clang-warnings warn_by_clang
}

warn_by_clang() {
    set_up build-clang clang -Dbuildtype=release -Doptimization=0 -Dwerror=true &&
        python3 tests/warn.py build-clang
}

# Under a sanitizer each step is dear: in quick, tests that have a small form take that.
make_small() {
    if [ "$suite" = quick ]; then
        export VARVE_BUDGET=small
    fi
}

# The seeded bugs judge the tests, not the code: the part gcc has done that. So it is with whole
# runs of varve-bench, whose peers no sanitizer has seen. Freed memory is held back until there are
# 32 MiB of it: with 256, much of the time goes into touching ever new pages.
part_asan() {
    ASAN_OPTIONS=detect_leaks=1:detect_stack_use_after_return=1:abort_on_error=0
    ASAN_OPTIONS=$ASAN_OPTIONS:quarantine_size_mb=32
    UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1
    export ASAN_OPTIONS UBSAN_OPTIONS
    make_small
    suites="--no-suite seeded --no-suite api --no-suite smoke"
    # shellcheck disable=SC2086 # a list
    step asan-build build_sanitized build-asan address,undefined &&
        run_tests asan build-asan $suites
}

# The sanitizer's memory layout needs addresses that are not randomised too far.
part_tsan() {
    TSAN_OPTIONS=halt_on_error=1:second_deadlock_stack=1
    export TSAN_OPTIONS
    make_small
    if setarch -R true 2>/dev/null; then
        launcher="setarch -R"
    fi
    suites="--suite concurrent"
    # shellcheck disable=SC2086 # a list
    step tsan-build build_sanitized build-tsan thread &&
        run_tests tsan build-tsan $suites
}

# Here the tests must not pass over a program that is missing.
part_api() {
    step api-build build_release &&
        step api-tools find_programs node spectral redocly newman prometheus promtool &&
        run_tests api build-gcc --suite api
}

find_programs() {
    for program; do
        command -v "$program" || return 1
    done
}

part_install() {
    step install-build build_release &&
        sh tests/install/run.sh build-gcc
}

part_readme() {
    python3 tests/readme/run.py
}

# The units name the program where a package puts it: here they are read with the one just built.
part_systemd() {
    step systemd-build build_release || return 1
    units=$(mktemp -d) || return 1
    for unit in systemd/*.service systemd/*.socket; do
        [ -e "$unit" ] || continue
        sed "s#^\(Exec[A-Za-z]*=[-@:+!]*\)/[^ ]*/varved#\1$PWD/build-gcc/src/programs/varved#" \
            "$unit" >"$units/${unit##*/}"
    done
    for unit in "$units"/*.service; do
        step "verify-$(basename "$unit" | tr -c 'a-z0-9.\n' -)" verify_unit "$unit"
    done
    rm -r "$units"
}

verify_unit() {
    said=$(systemd-analyze verify --man=no "$1" 2>&1)
    verdict=$?
    echo "$said"
    [ "$verdict" -eq 0 ] && [ -z "$said" ]
}

# Sums up the counting lines of a log: passed, failed, skipped.
count_log() {
    awk '/^[a-z0-9.-]+: [0-9]+ passed, [0-9]+ failed, [0-9]+ skipped$/ {
            passed += $2; failed += $4; skipped += $6
        }
        END { print passed + 0, failed + 0, skipped + 0 }' "$1"
}

# Sets processor_s to the seconds of all processors that this shell's ended children have used. (A
# shell of its own for $(...) would have had no children yet.)
read_processor_s() {
    times >"build-log/$part.times"
    processor_s=$(awk -F '[ms ]+' 'NR == 2 { printf "%.0f", 60 * ($1 + $3) + $2 + $4 }' \
        "build-log/$part.times")
    rm "build-log/$part.times"
}

# A part in a shell of its own, so that its time can be limited. Leaves its three counts in a file.
run_part() {
    part=$1 step_log=build-log/$1.step
    budget=$(($(budget_of "$part") * total_s / quick_s))
    log=build-log/$part.log
    begin=$(date +%s)
    read_processor_s
    used=$processor_s
    timeout -k 15 "$budget" sh tests/run.sh "$suite" --only "$part" >"$log" 2>&1 </dev/null 9>&- &
    job=$!
    wait "$job"
    verdict=$?
    job=
    took=$(($(date +%s) - begin))
    read_processor_s
    used=$((processor_s - used))
    if [ -f "$step_log" ]; then
        cat "$step_log" >>"$log"
        rm "$step_log"
    fi

    # shellcheck disable=SC2046 # three numbers
    set -- $(count_log "$log")
    reason=
    case $verdict in
    124 | 137) reason="out of time" ;;
    0) [ $(($1 + $2)) -gt 0 ] || reason="nothing ran" ;;
    *) [ "$2" -gt 0 ] || reason="ended with status $verdict" ;;
    esac
    if [ -n "$reason" ]; then
        set -- "$1" $(($2 + 1)) "$3"
    fi
    said=$(
        printf '%-8s %5d passed, %d failed, %d skipped  (%d s of %d, %d s of processors)%s\n' \
            "$part" "$1" "$2" "$3" "$took" "$budget" "$used" "${reason:+  $reason}"
        if [ "$2" -gt 0 ]; then
            tail -n 60 "$log" | sed 's/^/    | /'
            echo "    | (all of it: $log)"
        fi
    )
    printf '%s\n' "$said"
    echo "$1 $2 $3" >"build-log/$part.counts"
}

# Runs those of PARTS that were chosen, one after the other.
run_parts() {
    job=
    trap 'test -z "$job" || kill "$job"; exit 130' INT TERM HUP
    for one; do
        case " $chosen " in
        *" $one "*) run_part "$one" ;;
        esac
    done
}

suite=quick
case ${1-} in
quick | long)
    suite=$1
    shift
    ;;
esac

if [ "${1-}" = --only ]; then
    launcher='' step_log=build-log/$2.step
    "part_$2"
    exit
fi

chosen='' list_only=false
for part; do
    if [ "$part" = --list ]; then
        list_only=true
    elif [ -n "$(budget_of "$part")" ]; then
        chosen="$chosen $part"
    else
        echo "tests/run.sh: no part is called $part; there are: $parts" >&2
        exit 2
    fi
done
chosen=${chosen:-$parts}

if [ "$suite" = quick ]; then
    total_s=${VARVE_BUDGET_S:-$quick_limit_s}
else
    total_s=${VARVE_BUDGET_S:-$long_s}
fi
if "$list_only"; then
    for part in $chosen; do
        echo "$part $(($(budget_of "$part") * total_s / quick_s)) s"
    done
    exit 0
fi

unset VARVE_BUDGET
if [ "$suite" = long ]; then
    export VARVE_BUDGET=long
fi
VARVE_SEED=${VARVE_SEED:-$(od -An -N4 -tu4 /dev/urandom | tr -d ' ')}
export VARVE_SEED

# What cannot be installed shows as the failure of the parts that need it.
# shellcheck disable=SC2086 # lists of names
install_packages $build_packages $test_packages
install_prometheus

mkdir -p build-log
exec 9>build-log/lock
if ! flock -n 9; then
    echo "tests/run.sh: another run uses these build directories" >&2
    exit 2
fi
echo "suite $suite, seed $VARVE_SEED"
for part in $parts; do
    rm -f "build-log/$part.counts"
done

# Two rows of parts at a time. Those that end the list wait more than they compute, and use what the
# part gcc has built and what has been fetched beside it.
rows=
trap 'test -z "$rows" || kill $rows; exit 130' INT TERM HUP
install_node_tools &
fetching=$!
rows=$fetching
run_parts lint clang &
light=$!
rows="$fetching $light"
run_parts gcc &
heavy=$!
rows="$fetching $light $heavy"
wait "$light" "$heavy"
run_parts asan tsan &
heavy=$!
rows="$fetching $heavy"
wait "$fetching"
run_parts api install readme systemd &
light=$!
rows="$heavy $light"
wait "$heavy" "$light"

# shellcheck disable=SC2046 # three numbers
set -- $(for part in $chosen; do cat "build-log/$part.counts" || echo 0 1 0; done |
    awk '{ passed += $1; failed += $2; skipped += $3 }
        END { print passed + 0, failed + 0, skipped + 0 }')
echo "$1 passed, $2 failed, $3 skipped"
[ "$2" -eq 0 ] && [ "$1" -gt 0 ]
