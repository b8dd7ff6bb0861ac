#!/bin/bash
# Runs each fuzz target for some seconds (60 by default), on the stable compiler: coverage without
# the sanitizers, which forbidden unsafe code leaves little to find for.
set -euo pipefail
seconds=${1:-60}
cd "$(dirname "$0")/.."

if ! cargo fuzz --version >/dev/null 2>&1; then
    echo "installing cargo-fuzz, which takes some minutes once" >&2
    cargo install --locked --quiet cargo-fuzz
fi
corpus=${XDG_CACHE_HOME:-$HOME/.cache}/lockstep/corpus
for crate in proxy queue; do
    for target in $(cargo fuzz list --fuzz-dir "$crate/fuzz"); do
        mkdir -p "$corpus/$target"
        cargo fuzz run --fuzz-dir "$crate/fuzz" --sanitizer none "$target" \
            "$corpus/$target" "$crate/fuzz/seeds/$target" -- \
            -max_total_time="$seconds" -max_len=16384 -timeout=10 -verbosity=0 -print_final_stats=1
    done
done
