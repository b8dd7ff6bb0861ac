#!/usr/bin/env bash
# Builds the program as it is released. A first build counts how often each piece of code runs while it is under the
# loads of `make bench`, and under TLS and HTTP/2; the compiler makes the second one by those counts. That one counts
# under the same loads which jumps it takes, and BOLT moves what runs together into one place, on pages of 2 MiB where
# the system has them. Takes two whole builds and some minutes. Prints where the program is.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

target="${CARGO_TARGET_DIR:-target}"
mkdir -p "$target/profiled"
target="$(cd "$target" && pwd)"
work="$target/profiled"
host="$(rustc -vV | sed -n 's/^host: //p')"
merge="$(rustc --print sysroot)/lib/rustlib/$host/bin/llvm-profdata"
bench="$target/release/lockstep-bench"
# Called by its own name it does not find its libraries.
bolt="$(compgen -G "/usr/lib/llvm-*/bin/llvm-bolt" | sort -V | tail -n 1 || true)"

need_tools() {
  [ -x "$merge" ] || rustup component add llvm-tools >&2
  local tool
  for tool in "$merge" openssl curl h2load "${bolt:-llvm-bolt}"; do
    command -v "$tool" >/dev/null && continue
    echo "missing: $tool; on Debian: apt-get install bolt-19 nghttp2-client openssl curl" >&2
    return 1
  done
}

# The two builds differ in this flag alone: names that differ would leave counts without their code. BOLT needs the
# relocations.
build() {
  CARGO_ENCODED_RUSTFLAGS="$2"$'\x1f-Clink-arg=-Wl,--emit-relocs' cargo build --locked --release --package lockstep --target "$host" --target-dir "$work/$1"
}

# Visitors with pins, and calls of the AI gateway with and without records.
load_of_the_bench() {
  "$bench" --pinned --rounds 1 --seconds 8 --only lockstep --lockstep "$1"
  "$bench" ai --rounds 1 --seconds 2 --only lockstep-off,lockstep-fast,lockstep-strict \
    --shapes prompt-2k,prompt-50k,steady,first-byte,chunks-500 --streams 0 --lockstep "$1"
}

# HTTP/1.1 and HTTP/2 with TLS, HTTP/2 without, and handshakes.
load_with_tls() (
  rm -rf "$work/tls" && mkdir "$work/tls" && cd "$work/tls"
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=localhost \
    -addext subjectAltName=DNS:localhost -keyout tls.key -out tls.crt 2>openssl.log
  "$bench" origin --addr 127.0.0.1:0 >origins & origin=$!
  proxy=$origin
  trap 'kill "$origin" "$proxy" 2>/dev/null; wait' EXIT
  until [ -s origins ]; do kill -0 "$origin"; sleep 0.1; done
  plain=$((20000 + RANDOM % 5000)) secure=$((26000 + RANDOM % 5000))
  cat >lockstep.yaml <<YAML
server:
  data_dir: data
  listen:
    - addr: 127.0.0.1:$plain
    - {addr: 127.0.0.1:$secure, tls: {certificates: [{cert: tls.crt, key: tls.key}]}}
  admin: {addr: 127.0.0.1:0}
  shutdown: {lame_duck: 0s, grace: 1s}
apps: [{name: shop, hosts: [], versions: [{id: v1, endpoints: ["$(head -n 1 origins)"]}]}]
YAML
  "$1" run --config lockstep.yaml >log 2>&1 & proxy=$!
  until curl -s -o /dev/null "http://127.0.0.1:$plain/"; do kill -0 "$proxy"; sleep 0.1; done
  h2load -n 40000 -c 32 -m 8 "https://localhost:$secure/"
  h2load -n 40000 -c 32 --h1 "https://localhost:$secure/"
  h2load -n 40000 -c 32 -m 8 "http://localhost:$plain/"
  for _ in $(seq 40); do h2load -n 50 -c 50 "https://localhost:$secure/"; done
  # The counts are written at the end of the process.
  kill "$proxy"
  wait "$proxy"
)

run_loads() {
  load_of_the_bench "$1" >&2
  load_with_tls "$1" >&2
}

# Moves the code of the program `$1` to where it makes the new one, `$2`, faster.
lay_out() {
  rm -rf "$work/jumps" && mkdir "$work/jumps"
  "$bolt" "$1" -instrument -o "$work/jumping" --instrumentation-file="$work/jumps/of" --instrumentation-file-append-pid
  run_loads "$work/jumping"
  "$(dirname "$bolt")/merge-fdata" "$work"/jumps/*.fdata >"$work/jumps.fdata"
  "$bolt" "$1" -o "$2" -data="$work/jumps.fdata" -reorder-blocks=ext-tsp -reorder-functions=cdsort -split-functions \
    -split-all-cold -split-eh -hugify
  rm "$work/jumping"
}

need_tools
build counting "-Cprofile-generate=$work/counts"
cargo build --locked --release --package lockstep-bench
rm -rf "$work/counts"
run_loads "$work/counting/$host/release/lockstep"
"$merge" merge -o "$work/lockstep.profdata" "$work/counts"
build final "-Cprofile-use=$work/lockstep.profdata"
lay_out "$work/final/$host/release/lockstep" "$work/lockstep" >&2
echo "$work/lockstep"
