# shellcheck shell=sh
# Read by quickstart.sh and tests/run.sh: the Debian 12 packages that varve needs, and how to get
# those that are missing.

# shellcheck disable=SC2034 # for those who read this file
build_packages="gcc libc6-dev binutils meson ninja-build pkgconf libmicrohttpd-dev libgnutls28-dev
    libjansson-dev
    libb64-dev libinih-dev libsystemd-dev libxxhash-dev liblz4-dev
    libzstd-dev python3-yaml"

# Says which of the packages named are not installed.
missing_packages() {
    for package; do
        case " $(dpkg-query -W -f='${db:Status-Status} ' "$package" 2>/dev/null)" in
        *" installed "*) ;;
        *) printf ' %s' "$package" ;;
        esac
    done
}

as_root() {
    if [ "$(id -u)" -eq 0 ]; then
        "$@"
    elif ! command -v sudo >/dev/null; then
        echo "Installing packages needs root or sudo: $*" >&2
        return 1
    elif [ -t 0 ]; then
        sudo "$@"
    else
        sudo -n "$@"
    fi
}

# Asks nothing, and touches neither apt nor the network when all is there.
install_packages() {
    if ! command -v dpkg-query >/dev/null; then
        echo "This is not Debian: what is needed must be there already: $*" >&2
        return 0
    fi
    missing=$(missing_packages "$@")
    [ -n "$missing" ] || return 0
    echo "Installing:$missing"
    as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=120 update \
        </dev/null || return 1
    # shellcheck disable=SC2086 # a list of names
    as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq -y --no-install-recommends \
        -o DPkg::Lock::Timeout=120 -o Dpkg::Use-Pty=0 install $missing </dev/null >/dev/null
}
