# Sourced by every script here: where build output goes, and which cargo features this machine can build.
# One set of settings for all of them, because cargo builds everything again whenever one of these differs.
# shellcheck shell=bash

root=$(CDPATH='' cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# An older macOS has no realpath that takes what is not there yet.
absolute() { case $1 in /*) printf '%s\n' "$1" ;; *) printf '%s/%s\n' "$PWD" "$1" ;; esac; }
cache=$(absolute "${GGAUGE_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/ggauge}")
# Debian 12's Vulkan headers are older than llama.cpp needs; `bootstrap` unpacks newer ones here, beside the system.
vulkan_headers=$cache/vulkan-headers-1
# First Vulkan headers with vk::LayerSettingEXT, which llama.cpp's Vulkan backend uses.
vulkan_headers_needed=1.3.272

# Where a plain `cargo` builds. Our scripts, which run each other, all build in the same folder.
# shellcheck disable=SC2034 # For bootstrap.
plain_target=$(absolute "${CARGO_TARGET_DIR:-$root/target}")
CARGO_TARGET_DIR=$(absolute "${CARGO_TARGET_DIR:-$cache/target}")
export CARGO_TARGET_DIR
export CMAKE_BUILD_PARALLEL_LEVEL=${CMAKE_BUILD_PARALLEL_LEVEL:-$(getconf _NPROCESSORS_ONLN)}

say() { printf '%s: %s\n' "${0##*/}" "$*" >&2; }

# The version of the Vulkan headers that are installed system-wide, or nothing.
system_vulkan_headers() {
    local header=/usr/include/vulkan/vulkan_core.h
    [ -f "$header" ] || return 0
    local minor patch
    minor=$(sed -n 's/^#define VK_HEADER_VERSION_COMPLETE VK_MAKE_API_VERSION(0, \([0-9]*\), \([0-9]*\),.*/\1.\2/p' "$header")
    patch=$(sed -n 's/^#define VK_HEADER_VERSION \([0-9]*\)$/\1/p' "$header")
    printf '%s.%s\n' "$minor" "$patch"
}

at_least() { [ "$(printf '%s\n%s\n' "$2" "$1" | sort -V | head -n 1)" = "$2" ]; }

# True when llama.cpp's Vulkan backend can be built: a shader compiler, and headers that are new enough.
can_build_vulkan() {
    command -v glslc >/dev/null || return 1
    [ -f "$vulkan_headers/complete" ] && return 0
    local have
    have=$(system_vulkan_headers)
    [ -n "$have" ] && at_least "$have" "$vulkan_headers_needed"
}

# Sets `features`, the array of cargo arguments, from what this machine can build.
# GGAUGE_FEATURES overrides the probe, for instance GGAUGE_FEATURES= for a build without any GPU backend.
probe_features() {
    local list=()
    if [ "${GGAUGE_FEATURES+set}" = set ]; then
        read -r -a list <<<"${GGAUGE_FEATURES//,/ }"
    else
        if can_build_vulkan; then list+=(vulkan); fi
        if command -v nvcc >/dev/null; then list+=(cuda); fi
        if [ "$(uname -s)" = Darwin ]; then list+=(metal); fi
    fi
    if [ -f "$vulkan_headers/complete" ] && [[ " ${list[*]-} " == *" vulkan "* ]]; then
        export VULKAN_SDK=$vulkan_headers
        export CMAKE_PREFIX_PATH=$vulkan_headers${CMAKE_PREFIX_PATH:+:$CMAKE_PREFIX_PATH}
    fi
    features=()
    if [ "${#list[@]}" -gt 0 ]; then
        local IFS=,
        # shellcheck disable=SC2034 # For the script that asked.
        features=(--features "${list[*]/#/ggauge/}")
    fi
}

# Cargo tells the packages of a workspace by their names, not by where it lies: of two checkouts with one cache, each would take builds of the
# other for its own, with the other's paths in them. What was built of other people's crates serves both.
claim_target() {
    local owner=$CARGO_TARGET_DIR/checkout
    [ ! -d "$CARGO_TARGET_DIR/debug" ] || [ "$(cat "$owner" 2>/dev/null)" = "$root" ] || (cd "$root" && cargo clean --quiet --locked --workspace)
    mkdir -p "$CARGO_TARGET_DIR"
    printf '%s\n' "$root" >"$owner"
}

# lock_9 [-n]: takes the lock of the file that is open as 9; with -n it fails where somebody has it. macOS has no flock(1).
lock_9() {
    if command -v flock >/dev/null; then flock "$@" 9; else
        perl -MFcntl=:flock -e 'open(LOCK, "<&=9") and flock(LOCK, @ARGV ? LOCK_EX | LOCK_NB : LOCK_EX) or exit 1' -- "$@"
    fi
}

# mend_builds TARGET: deletes what build scripts have left there that failed or were cut off. Cargo starts them again in the same folder, and
# not every build goes on from what it finds: with a cache of cmake's and no Makefile, llama.cpp's ends in "No rule to make target" for ever,
# and an object file that is half written is new enough for make, and no object for the linker.
# Cargo notes the time when a script starts, and gives the script's output that time when it has come to its end.
mend_builds() {
    local lock started
    for lock in "$1"/*/.cargo-lock "$1"/*/*/.cargo-lock; do
        [ -f "$lock" ] || continue
        (
            # Cargo's own lock: what a build is in the middle of is no rest.
            lock_9 -n || { say "waiting for the cargo that builds in ${lock%/*}"; lock_9; }
            for started in "${lock%/*}"/build/*/invoked.timestamp; do
                [ ! "$started" -nt "${started%/*}/output" ] || rm -rf "${started%/*}"
            done
        ) 9<"$lock"
    done
}

# install_packages PACKAGE...: silent when it works. As root, or as somebody who can become root without a question; fails for others.
install_packages() {
    local as_root=() log
    if [ "$(id -u)" != 0 ]; then
        sudo -n true 2>/dev/null || return 1
        as_root=(sudo)
    fi
    say "installing $*"
    log=$(mktemp)
    # The first of all, because an installation that was cut off leaves packages that apt does not go past.
    if ! { ${as_root[@]+"${as_root[@]}"} env DEBIAN_FRONTEND=noninteractive dpkg --configure -a &&
        ${as_root[@]+"${as_root[@]}"} apt-get update &&
        ${as_root[@]+"${as_root[@]}"} env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "$@"; } >"$log" 2>&1; then
        cat "$log" >&2
        say "installing failed; the log above says why. Mend that and run this again."
        exit 1
    fi
    rm -f "$log"
}
