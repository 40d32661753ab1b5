# The two commands that matter: `make run` and `make test`. Everything else is a part of them. `make help` lists all targets.
# Tools are kept outside of the checkout, in SPILLWAY_CACHE (default: ~/.cache/spillway).

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.PHONY: help setup build run test interop agreement crash faults incident fuzz bench bench-edge bench-queue bench-schema bench-consumer \
	bench-peers bench-scaling bench-e2e instructions check fmt links lint lint-wasm doc deny no-failpoints audit clean

# Runs what follows with the tools that `setup` found or installed.
with_tools := . "$$(deploy/local/setup.sh --print-env-file)";

##@ Run and test

# A target's line ends with `## TEXT`; a line `##@ TEXT` is a heading.
help: ## list all targets
	@awk -F ':.*## ' '/^##@ / { printf "\n%s\n", substr($$0, 5) } /^[a-z0-9-]+:.*## / { printf "  make %-15s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

setup: ## install missing tools into SPILLWAY_CACHE
	@deploy/local/setup.sh $(setup_options)

build: setup ## build the Worker and the binaries
	@deploy/local/build-edge.sh
	@deploy/local/build-edge.sh --crate tests/bench/read-body
	@echo "build: compiling the origin, the consumer and the local stack (minutes the first time)"
	@cargo build --quiet --workspace

run: build ## start Spillway here, send a trace through it, run until Ctrl-C; ONCE=1: end after the trace, non-zero after 60 s without it
	@$(with_tools) exec "$${CARGO_TARGET_DIR:-target}/debug/local-stack" $(if $(ONCE),--once)

test: export SPILLWAY_WITH_ENGINE := 1
test: setup_options := --for-tests
test: build ## all tests: units, the edge's decisions, end to end over the real parts
	@$(with_tools) cargo test --workspace

##@ Longer tests (their short forms are a part of `make test`)

interop: setup_options := --with-all-exporters
interop: build ## run 20 real exporters in every case, lost answers included; writes docs/INTEROP.md
	@$(with_tools) cargo test --workspace --test interop -- --include-ignored --nocapture

# SEED=N and REQUESTS=N choose other generated requests.
agreement: export SPILLWAY_WITH_ENGINE := 1
agreement: setup_options := --with-collector
agreement: setup ## the same requests through the Collector's ClickHouse exporter, row by row (docs/COLLECTOR.md); needs Go; SEED=, REQUESTS=
	@echo "agreement: compiling it (minutes the first time)"
	@cargo build --quiet --workspace --bin origin-consumer
	@$(with_tools) cargo test --workspace --test agreement -- --include-ignored --nocapture

# Both stores in turn, unless STORE names one. CRASH_FLAGS: further arguments, see `crash --help`.
crash: export SPILLWAY_WITH_ENGINE := 1
crash: setup_options := --for-tests
crash: build ## kill parts at random, and count what is lost and doubled (docs/CRASH.md); KILLS=, SECONDS=, STORE=, SEED=, PROVE=1
	@$(with_tools) for store in $(or $(STORE),sqlite postgres); do \
		"$${CARGO_TARGET_DIR:-target}/debug/crash" --store $$store $(if $(SEED),--seed $(SEED)) $(if $(KILLS),--kills $(KILLS)) \
			$(if $(SECONDS),--seconds $(SECONDS)) $(if $(PROVE),--prove) $(CRASH_FLAGS); \
	done

faults: export SPILLWAY_WITH_ENGINE := 1
faults: setup_options := --for-tests
faults: build ## each fault at each step; writes docs/FAULTS.md; FAULTS=TEXT: those only
	@$(with_tools) cargo test --workspace --test faults -- --ignored --nocapture

incident: export SPILLWAY_WITH_ENGINE := 1
incident: setup_options := --for-tests
incident: build ## the firewall in the middle; writes docs/INCIDENT.md; RULES=FILE,...: with rulesets of your own, as Cloudflare's API has them
	@$(with_tools) cargo test --workspace --test incident -- --ignored --nocapture $(if $(RULES),with_other_rules,the_whole_table)

# The checks themselves run over all known inputs in `make test`.
fuzz: ## search for inputs that a parser fails on; FUZZ_SECONDS=600 for longer
	@deploy/local/setup.sh --with-fuzzer
	@$(with_tools) tests/fuzz/run.sh

##@ Benchmarks (docs/BENCHMARKS.md; SHORT=1: only that it works; BENCH_FLAGS: further arguments)

# A round or three of each, with figures that say something, if not much: the longer forms are for documents.
bench: export SPILLWAY_WITH_ENGINE := 1
bench: setup_options := --for-tests
bench: setup ## all of the following in a short form, some minutes after builds; figures in target/bench/
	@deploy/local/build-edge.sh
	@deploy/local/build-edge.sh --crate tests/bench/read-body
	@echo "bench: compiling it (minutes the first time)"
	@cargo build --quiet --release --package origin-consumer --package spillway-bench --bins
	@mkdir -p target/bench
	@$(with_tools) bench() { \
		echo; echo "# bench-$$1"; \
		"$${CARGO_TARGET_DIR:-target}/release/bench-$$2" --json "target/bench/$$1.json" "$${@:3}"; \
	}; \
	bench edge edge --rounds 3 --turn 250; \
	bench queue queue --rounds 2 --objects 20000; \
	bench schema schema --rounds 1 --rows 100000 --question-rows 0; \
	bench consumer consumer --rounds 1 --spans 200000; \
	bench scaling consumer --scaling --rounds 1 --spans 50000 --table-rows 0; \
	bench peers peers --rounds 1 --spans 200000; \
	bench e2e e2e --spans 50000 --steady-seconds 10

# BENCH_FLAGS: further arguments, see `bench-edge --help`.
bench-edge: setup ## the CPU that a request costs the edge
	@deploy/local/build-edge.sh
	@deploy/local/build-edge.sh --crate tests/bench/read-body
	@echo "bench-edge: compiling the load generator (minutes the first time)"
	@cargo build --quiet --workspace --bin bench-edge $(if $(SHORT),,--release)
	@$(with_tools) exec "$${CARGO_TARGET_DIR:-target}/$(if $(SHORT),debug,release)/bench-edge" $(if $(SHORT),--short) $(BENCH_FLAGS)

bench-queue: setup_options := --for-tests
bench-queue: setup ## the objects a second that the ledger accepts and hands out, in both stores
	@echo "bench-queue: compiling it (minutes the first time)"
	@cargo build --quiet --package spillway-bench --bin bench-queue $(if $(SHORT),,--release)
	@$(with_tools) exec "$${CARGO_TARGET_DIR:-target}/$(if $(SHORT),debug,release)/bench-queue" $(if $(SHORT),--short) $(BENCH_FLAGS)

bench-schema: setup ## what each part of the table costs ClickHouse, and the usual queries
	@echo "bench-schema: compiling it (minutes the first time)"
	@cargo build --quiet --workspace --bin bench-schema --bin origin-consumer $(if $(SHORT),,--release)
	@$(with_tools) exec "$${CARGO_TARGET_DIR:-target}/$(if $(SHORT),debug,release)/bench-schema" $(if $(SHORT),--short) $(BENCH_FLAGS)

# The bucket is Miniflare's, which wants the Worker to be built.
bench-consumer: export SPILLWAY_WITH_ENGINE := 1
bench-consumer: setup ## the CPU that a span costs the consumer and ClickHouse, by both decoders
	@deploy/local/build-edge.sh
	@echo "bench-consumer: compiling it (minutes the first time)"
	@cargo build --quiet --package origin-consumer --package spillway-bench --bin origin-consumer --bin bench-consumer $(if $(SHORT),,--release)
	@$(with_tools) exec "$${CARGO_TARGET_DIR:-target}/$(if $(SHORT),debug,release)/bench-consumer" $(if $(SHORT),--short) $(BENCH_FLAGS)

# ROTEL, OTEL_ARROW, OTELCOL and VECTOR name built ones, by a path or a URL; see `bench-peers --help`.
bench-peers: export SPILLWAY_WITH_ENGINE := 1
bench-peers: setup ## the same beside others: ROTEL=, OTEL_ARROW=, OTELCOL=, VECTOR= name built ones, by path or URL
	@deploy/local/build-edge.sh
	@echo "bench-peers: compiling it (minutes the first time)"
	@cargo build --quiet --package origin-consumer --package spillway-bench --bin origin-consumer --bin bench-peers $(if $(SHORT),,--release)
	@$(with_tools) exec "$${CARGO_TARGET_DIR:-target}/$(if $(SHORT),debug,release)/bench-peers" $(if $(SHORT),--short) $(BENCH_FLAGS)

bench-scaling: export SPILLWAY_WITH_ENGINE := 1
bench-scaling: setup_options := --for-tests
bench-scaling: setup ## the same by threads, processes, the size of objects and of the table
	@deploy/local/build-edge.sh
	@echo "bench-scaling: compiling it (minutes the first time)"
	@cargo build --quiet --package origin-consumer --package spillway-bench --bin origin-consumer --bin bench-consumer $(if $(SHORT),,--release)
	@$(with_tools) exec "$${CARGO_TARGET_DIR:-target}/$(if $(SHORT),debug,release)/bench-consumer" --scaling $(if $(SHORT),--short) $(BENCH_FLAGS)

bench-e2e: export SPILLWAY_WITH_ENGINE := 1
bench-e2e: setup ## the whole way: spans/s, CPU by process, seconds from an exporter's 200 to the row
	@deploy/local/build-edge.sh
	@echo "bench-e2e: compiling it (minutes the first time)"
	@cargo build --quiet --package origin-consumer --package spillway-bench --bin origin-consumer --bin bench-e2e $(if $(SHORT),,--release)
	@$(with_tools) exec "$${CARGO_TARGET_DIR:-target}/$(if $(SHORT),debug,release)/bench-e2e" $(if $(SHORT),--short) $(BENCH_FLAGS)

instructions: ## count the instructions of the hot functions against their budget; CI runs it; WRITE=1 sets the budget
	@deploy/local/setup.sh --with-valgrind
	@cargo build --quiet --release --package count-instructions
	@$(with_tools) "$${CARGO_TARGET_DIR:-target}/release/count-instructions" $(if $(WRITE),--write)

##@ Checks

check: fmt links lint lint-wasm doc deny no-failpoints ## all of the following up to no-failpoints; CI runs it before the tests

fmt: ## formatting
	cargo fmt --all -- --check
	cargo fmt --manifest-path tests/fuzz/libfuzzer/Cargo.toml -- --check

links: ## links and paths in documents
	@.ci/check-links

lint: ## clippy, native
	cargo clippy --workspace --all-targets -- --deny warnings

lint-wasm: setup ## clippy, wasm32
	deploy/local/build-edge.sh --cargo clippy --package edge-ingest --package read-body --lib --target wasm32-unknown-unknown -- --deny warnings

doc: ## rustdoc
	RUSTDOCFLAGS="--deny warnings" cargo doc --workspace --no-deps

deny: ## licences, sources and unused dependencies
	@deploy/local/setup.sh --with-checkers
	@$(with_tools) "$$SPILLWAY_CARGO_DENY" check bans licenses sources; "$$SPILLWAY_CARGO_MACHETE"

# The failpoints end the process wherever the environment says so.
no-failpoints: ## a release has no failpoints
	@cargo tree --package origin-consumer --edges features,normal --depth 1 | { ! grep -w 'fail'; }

audit: ## known vulnerabilities; needs the internet
	@deploy/local/setup.sh --with-checkers
	@$(with_tools) "$$SPILLWAY_CARGO_DENY" check advisories

clean: ## remove builds and the data of `make run`; the tools stay
	cargo clean
	rm -rf .run edge-ingest/build
