#!/bin/bash
# Installs what `make lint` needs besides the compiler.
set -euo pipefail

for component in rustfmt clippy; do
    if ! cargo "${component/rustfmt/fmt}" --version >/dev/null 2>&1; then
        rustup component add "$component"
    fi
done
if ! cargo deny --version >/dev/null 2>&1; then
    echo "installing cargo-deny, which takes some minutes once" >&2
    cargo install --locked --quiet cargo-deny
fi
