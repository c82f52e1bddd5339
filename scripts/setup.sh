#!/bin/sh
# Installs what building, testing and the demo need on Debian 12. Idempotent; touches no network when all is there.
set -eu

packages="build-essential pkg-config
libgstreamer1.0-dev libgstreamer-plugins-base1.0-dev libgstrtspserver-1.0-dev
gstreamer1.0-tools gstreamer1.0-plugins-base gstreamer1.0-plugins-good gstreamer1.0-plugins-bad
gstreamer1.0-plugins-ugly gstreamer1.0-libav gstreamer1.0-x
mosquitto mosquitto-clients espeak-ng openssl"

if ! command -v dpkg-query >/dev/null; then
    echo "setup: this is no Debian; install the equivalents of:" $packages >&2
    exit 1
fi

missing=""
for package in $packages; do
    state=$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null || true)
    [ "$state" = installed ] || missing="$missing $package"
done

if [ -n "$missing" ]; then
    as_root=""
    if [ "$(id -u)" -ne 0 ]; then
        command -v sudo >/dev/null || { echo "setup: become root or install sudo, for: apt-get install$missing" >&2; exit 1; }
        as_root="sudo"
    fi
    echo "setup: installing$missing"
    $as_root apt-get update -qq
    $as_root env DEBIAN_FRONTEND=noninteractive \
        apt-get install -y -qq --no-install-recommends $missing >/dev/null
fi

if ! command -v cargo >/dev/null; then
    echo "setup: Rust is missing; install 1.92 or newer, for example from https://rustup.rs" >&2
    exit 1
fi
version=$(cargo --version | cut -d ' ' -f 2)
if [ "$(printf '1.92\n%s\n' "$version" | sort -V | head -n 1)" != 1.92 ]; then
    echo "setup: Rust $version is too old; 1.92 or newer is needed" >&2
    exit 1
fi
