#!/bin/sh
# Installs a build into a folder of its own and uses what is there as another project would: the
# library through its pkg-config file, shared and static, with the program that README.md shows.
#
#   tests/install/run.sh BUILD_DIRECTORY
set -u
cd "$(dirname "$0")/../.." || exit 1
build=$1
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
passed=0 failed=0

ok() {
    name=$1
    shift
    if "$@"; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
        echo "failed: $name"
    fi
}

if ! DESTDIR=$work/root meson install -C "$build" --no-rebuild --quiet; then
    echo "install: 0 passed, 1 failed, 0 skipped"
    exit 1
fi
pc=$(find "$work/root" -name varve.pc)
prefix=$work/root$(pkg-config --variable=prefix "$pc")
libdir=$work/root$(pkg-config --variable=libdir "$pc")
shared=$libdir/libvarve.so
static=$libdir/libvarve.a

# The .pc file names the final place; a sysroot puts the temporary one before it.
pkg() {
    PKG_CONFIG_PATH=$libdir/pkgconfig PKG_CONFIG_SYSROOT_DIR=$work/root pkg-config "$@" varve
}

# Names of functions that the installed headers declare as the library's.
declared() {
    cat "$prefix"/include/varve/*.h | tr '\n' ' ' | grep -oE 'VARVE_API [^;{]*;' |
        sed -E 's/^[^(]*[^a-z0-9_(]([a-z0-9_]+)\(.*$/\1/' | sort -u
}
exported() {
    nm "$@" --defined-only --extern-only --format=posix | awk 'NF > 2 { print $1 }' | sort -u
}

# Nothing more and nothing less than the headers declare.
exports_are_declared() {
    exported "$@" >"$work/exported"
    declared >"$work/declared"
    [ -s "$work/declared" ] && diff "$work/declared" "$work/exported"
}

soname_is() {
    objdump -p "$shared" | grep -q "SONAME *$1\$" && [ -e "$libdir/$1" ]
}

# A program on top of the folder that it makes, run twice: a new store and one that is there.
program_runs() {
    (
        cd "$work" && rm -rf lake &&
            LD_LIBRARY_PATH=$libdir "$1" >first && LD_LIBRARY_PATH=$libdir "$1" >second &&
            [ -s first ] && [ -d lake ]
    )
}

compile_shared() {
    # shellcheck disable=SC2046 # a list of flags
    gcc -Wall -Wextra -Werror "$work/example.c" $(pkg --cflags --libs) -o "$work/example-shared"
}

compile_static() {
    # shellcheck disable=SC2046 # a list of flags
    gcc -Wall -Wextra -Werror "$work/example.c" $(pkg --cflags) "$static" \
        $(pkg-config --libs $(pkg --print-requires-private)) -pthread -o "$work/example-static"
}

# An application may have names that the library has inside.
names_do_not_clash() {
    nm "$static" | awk 'NF == 3 && $2 == "t" && $3 !~ /[.]/ { print $3 }' | sort -u >"$work/inside"
    [ -s "$work/inside" ] || return 1
    sed 's/.*/int &(void);\nint &(void)\n{\n    return 0;\n}/' "$work/inside" >"$work/clash.c"
    # shellcheck disable=SC2046 # a list of flags
    gcc -fno-builtin -w "$work/example.c" "$work/clash.c" $(pkg --cflags) "$static" \
        $(pkg-config --libs $(pkg --print-requires-private)) -pthread -o "$work/example-clash" &&
        program_runs "$work/example-clash"
}

headers_are_cxx() {
    printf '#include <varve/varve.h>\nint main()\n{\n    return VARVE_OK;\n}\n' >"$work/example.cc"
    # shellcheck disable=SC2046 # a list of flags
    clang -x c++ -fsyntax-only -Wall -Wextra -Werror $(pkg --cflags) "$work/example.cc"
}

version_agrees() {
    [ "$("$prefix/bin/varved" --version | grep -oE '[0-9]+\.[0-9]+\.[0-9]+' | head -n 1)" = \
        "$(pkg --modversion)" ]
}

sed -n '/^```c$/,/^```$/p' README.md | sed '/^```/d' >"$work/example.c"

ok "varved tells the version of varve.pc" version_agrees
ok "soname" soname_is libvarve.so.0
ok "the shared library exports what the headers declare" exports_are_declared --dynamic "$shared"
ok "the static library exports what the headers declare" exports_are_declared "$static"
ok "README's program compiles with the shared library" compile_shared
ok "README's program runs with the shared library" program_runs "$work/example-shared"
ok "README's program compiles with the static library" compile_static
ok "README's program runs with the static library" program_runs "$work/example-static"
ok "names inside the static library do not clash" names_do_not_clash
ok "the headers are C++ too" headers_are_cxx

echo "install: $passed passed, $failed failed, 0 skipped"
[ "$failed" -eq 0 ]
