# Two commands do everything on a fresh Debian machine with Rust: `make demo` and `make test`.
.PHONY: demo test test-long lint bench bench-queue bench-ai bench-cluster build release fuzz

# Debian keeps nginx and ip where only root looks.
export PATH := $(PATH):/usr/sbin:/sbin
# Where cargo builds: shared by all targets.
BUILT := $(abspath $(or $(CARGO_TARGET_DIR),target))

demo:
	@scripts/build-tools.sh
	cargo build --locked --profile demo --package lockstep
	@"$(BUILT)/demo/lockstep" demo

build:
	@scripts/build-tools.sh
	cargo build --locked --release --package lockstep

# The same, a sixth faster: made and laid out by what earlier builds counted under load. About forty minutes to an hour.
release:
	@scripts/build-tools.sh
	@scripts/release.sh

# Every test: units, documentation, and the end-to-end suites against the real binary.
test:
	@scripts/build-tools.sh
	@tests/setup/install.sh
	cargo build --locked --workspace --all-targets
	LOCKSTEP_BIN="$(BUILT)/debug/lockstep" cargo test --locked --workspace

# Suites that do a little each time do a lot: 200 kills, a minute of overload.
test-long: build
	@tests/setup/install.sh
	LOCKSTEP_KILLS=200 LOCKSTEP_OVERLOAD_SECONDS=60 LOCKSTEP_BIN="$(BUILT)/release/lockstep" \
		cargo test --locked --package lockstep-tests --test audit --test ai_overload

lint:
	@scripts/build-tools.sh
	@scripts/lint-tools.sh
	cargo fmt --all --check
	cargo clippy --locked --workspace --all-targets -- --deny warnings
	cargo check --locked --manifest-path proxy/fuzz/Cargo.toml
	cargo check --locked --manifest-path queue/fuzz/Cargo.toml
	RUSTDOCFLAGS="--deny warnings" cargo doc --locked --workspace --no-deps
	@scripts/deny.sh

# Side by side with bare Pingora, nginx, HAProxy and Envoy; about ten minutes after the build. Then the job queue
# beside those of others and the journal beside a bare loop, `make bench-queue`, the AI gateway, `make bench-ai`, and
# a replica in a Kubernetes cluster of 10 000 versions, `make bench-cluster`.
bench: build
	@bench/setup.sh
	@tests/setup/install.sh
	cargo run --locked --release --package lockstep-bench -- $(ARGS)
	cargo run --locked --release --package lockstep-bench -- journal
	cargo run --locked --release --package lockstep-bench -- queue
	cargo run --locked --release --package lockstep-bench -- ai
	cargo run --locked --release --package lockstep-bench -- cluster

bench-queue:
	@scripts/build-tools.sh
	@bench/setup.sh
	cargo run --locked --release --package lockstep-bench -- journal
	cargo run --locked --release --package lockstep-bench -- queue $(ARGS)

bench-ai: build
	@bench/setup.sh
	cargo run --locked --release --package lockstep-bench -- ai $(ARGS)

bench-cluster: build
	@tests/setup/install.sh
	cargo run --locked --release --package lockstep-bench -- cluster $(ARGS)

# Each fuzz target for a minute.
fuzz:
	@scripts/build-tools.sh
	@scripts/fuzz.sh $(SECONDS)
