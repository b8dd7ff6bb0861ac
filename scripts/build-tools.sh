#!/bin/bash
# Installs what building needs besides Rust: a C compiler and cmake, for the TLS and compression
# libraries. Where it may not install, it names the packages and the command.
set -euo pipefail

missing=()
command -v cc >/dev/null || missing+=(gcc libc6-dev)
command -v cmake >/dev/null || missing+=(cmake)
command -v make >/dev/null || missing+=(make)
if ! command -v cargo >/dev/null; then
    echo "Rust is missing: install it with rustup, or the package rustup of your distribution." >&2
    exit 1
fi
[ ${#missing[@]} -eq 0 ] && exit 0

if command -v apt-get >/dev/null && [ "$(id -u)" = 0 ]; then
    echo "installing ${missing[*]}" >&2
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -qq
    apt-get install -qq --yes --no-install-recommends "${missing[@]}" >/dev/null
else
    echo "missing: ${missing[*]}" >&2
    echo "install them as root, on Debian: apt-get install --no-install-recommends ${missing[*]}" >&2
    exit 1
fi
