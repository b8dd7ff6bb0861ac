#!/bin/bash
# Licences, bans and sources of all dependencies, and advisories where their database can be had.
set -euo pipefail

cargo deny --all-features check bans licenses sources
if cargo deny fetch db >/dev/null 2>&1; then
    cargo deny --all-features check advisories
else
    echo "warning: the advisory database can't be fetched here; advisories were not checked" >&2
fi
