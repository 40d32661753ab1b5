# The two commands that matter: `make run` and `make test`. Everything else is a part of them.
#
#   make run               start Spillway here, send a trace through it, stay up until Ctrl-C
#   make run ONCE=1        end after the trace; non-zero if it did not arrive within 60 s
#   make test              all tests: units, the edge's decisions, and end to end over the real parts
#   make interop           20 real exporters in every case, lost answers included (docs/INTEROP.md); a short form is in `make test`
#   make crash             kill parts at random, and count what is lost and doubled (docs/CRASH.md); KILLS=200 for longer
#   make faults            each fault at each step, with a table of what comes of it (docs/FAULTS.md); FAULTS=text: those only
#   make incident          the firewall in the middle: each fix, each way of the platform (docs/INCIDENT.md);
#                          RULES=FILE,...: with rulesets of your own, as Cloudflare's API has them
#   make fuzz              look for inputs that a parser fails on; FUZZ_SECONDS=600 make fuzz for longer
#   make bench             all of the following in a short form, some minutes after builds; figures in target/bench/
#   make bench-edge        what a request costs the edge in CPU (docs/BENCHMARKS.md); with SHORT=1, only that it works
#   make bench-queue       how many objects the ledger takes and hands out in a second (docs/BENCHMARKS.md); SHORT=1 likewise
#   make bench-schema      what each part of the table costs ClickHouse, and what the usual questions take; SHORT=1 likewise
#   make bench-consumer    what a span costs the consumer and ClickHouse in CPU (docs/BENCHMARKS.md); SHORT=1 likewise
#   make bench-peers       the same beside others: ROTEL=, OTEL_ARROW=, OTELCOL=, VECTOR= name built ones, by path or URL
#   make bench-scaling     how that changes with threads, processes, the size of objects and that of the table
#   make bench-e2e         the whole way: spans/s, CPU by process, seconds from an exporter's 200 to the row
#   make instructions      how many instructions the hot functions take, against their budget; CI runs it
#   make check             what CI checks before the tests: format, clippy (native and wasm32), rustdoc, licences
#
# Tools are kept outside of the checkout, in SPILLWAY_CACHE (default: ~/.cache/spillway).

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.PHONY: help setup build run test interop crash faults incident fuzz bench bench-edge bench-queue bench-schema bench-consumer \
	bench-peers bench-scaling bench-e2e instructions check fmt lint lint-wasm doc deny no-failpoints audit clean

# Runs what follows with the tools that `setup` found or installed.
with_tools := . "$$(deploy/local/setup.sh --print-env-file)";

help: ## show this
	@sed -n 's/^# \{0,1\}//p' Makefile | head -n 21

setup: ## install what is missing
	@deploy/local/setup.sh $(setup_options)

build: setup ## build the Worker and the binaries
	@deploy/local/build-edge.sh
	@deploy/local/build-edge.sh --crate tests/bench/read-body
	@echo "build: compiling the origin, the consumer and the local stack (minutes the first time)"
	@cargo build --quiet --workspace

run: build ## start everything and send one trace
	@$(with_tools) exec "$${CARGO_TARGET_DIR:-target}/debug/local-stack" $(if $(ONCE),--once)

test: export SPILLWAY_WITH_ENGINE := 1
test: setup_options := --for-tests
test: build ## run all tests
	@$(with_tools) cargo test --workspace

interop: setup_options := --with-all-exporters
interop: build ## run real exporters in every case; writes docs/INTEROP.md
	@$(with_tools) cargo test --workspace --test interop -- --include-ignored --nocapture

# Both stores in turn, unless STORE names one. CRASH_FLAGS: further arguments, see `crash --help`.
crash: export SPILLWAY_WITH_ENGINE := 1
crash: setup_options := --for-tests
crash: build ## kill parts at random, and count what is lost and doubled
	@$(with_tools) for store in $(or $(STORE),sqlite postgres); do \
		"$${CARGO_TARGET_DIR:-target}/debug/crash" --store $$store $(if $(SEED),--seed $(SEED)) $(if $(KILLS),--kills $(KILLS)) \
			$(if $(SECONDS),--seconds $(SECONDS)) $(if $(PROVE),--prove) $(CRASH_FLAGS); \
	done

faults: export SPILLWAY_WITH_ENGINE := 1
faults: setup_options := --for-tests
faults: build ## each fault at each step; writes docs/FAULTS.md
	@$(with_tools) cargo test --workspace --test faults -- --ignored --nocapture

incident: export SPILLWAY_WITH_ENGINE := 1
incident: setup_options := --for-tests
incident: build ## the firewall in the middle; writes docs/INCIDENT.md
	@$(with_tools) cargo test --workspace --test incident -- --ignored --nocapture $(if $(RULES),with_other_rules,the_whole_table)

# The checks themselves run over all known inputs in `make test`.
fuzz: ## search for inputs that a parser fails on
	@deploy/local/setup.sh --with-fuzzer
	@$(with_tools) tests/fuzz/run.sh

# A round or three of each, with figures that say something, if not much: the longer forms are for documents.
bench: export SPILLWAY_WITH_ENGINE := 1
bench: setup_options := --for-tests
bench: setup ## measure everything in a short form
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
bench-edge: setup ## measure the edge's CPU time a request
	@deploy/local/build-edge.sh
	@deploy/local/build-edge.sh --crate tests/bench/read-body
	@echo "bench-edge: compiling the load generator (minutes the first time)"
	@cargo build --quiet --workspace --bin bench-edge $(if $(SHORT),,--release)
	@$(with_tools) exec "$${CARGO_TARGET_DIR:-target}/$(if $(SHORT),debug,release)/bench-edge" $(if $(SHORT),--short) $(BENCH_FLAGS)

bench-queue: setup_options := --for-tests
bench-queue: setup ## measure the ledger's throughput in both stores
	@echo "bench-queue: compiling it (minutes the first time)"
	@cargo build --quiet --package spillway-bench --bin bench-queue $(if $(SHORT),,--release)
	@$(with_tools) exec "$${CARGO_TARGET_DIR:-target}/$(if $(SHORT),debug,release)/bench-queue" $(if $(SHORT),--short) $(BENCH_FLAGS)

bench-schema: setup ## measure what each part of the table costs
	@echo "bench-schema: compiling it (minutes the first time)"
	@cargo build --quiet --workspace --bin bench-schema --bin origin-consumer $(if $(SHORT),,--release)
	@$(with_tools) exec "$${CARGO_TARGET_DIR:-target}/$(if $(SHORT),debug,release)/bench-schema" $(if $(SHORT),--short) $(BENCH_FLAGS)

# The bucket is Miniflare's, which wants the Worker to be built.
bench-consumer: export SPILLWAY_WITH_ENGINE := 1
bench-consumer: setup ## measure the CPU time of a span, by the wire and by prost
	@deploy/local/build-edge.sh
	@echo "bench-consumer: compiling it (minutes the first time)"
	@cargo build --quiet --package origin-consumer --package spillway-bench --bin origin-consumer --bin bench-consumer $(if $(SHORT),,--release)
	@$(with_tools) exec "$${CARGO_TARGET_DIR:-target}/$(if $(SHORT),debug,release)/bench-consumer" $(if $(SHORT),--short) $(BENCH_FLAGS)

# ROTEL, OTEL_ARROW, OTELCOL and VECTOR name built ones, by a path or a URL; see `bench-peers --help`.
bench-peers: export SPILLWAY_WITH_ENGINE := 1
bench-peers: setup ## measure what a span costs, beside what it costs others
	@deploy/local/build-edge.sh
	@echo "bench-peers: compiling it (minutes the first time)"
	@cargo build --quiet --package origin-consumer --package spillway-bench --bin origin-consumer --bin bench-peers $(if $(SHORT),,--release)
	@$(with_tools) exec "$${CARGO_TARGET_DIR:-target}/$(if $(SHORT),debug,release)/bench-peers" $(if $(SHORT),--short) $(BENCH_FLAGS)

bench-scaling: export SPILLWAY_WITH_ENGINE := 1
bench-scaling: setup_options := --for-tests
bench-scaling: setup ## measure how the cost of a span changes with what is around it
	@deploy/local/build-edge.sh
	@echo "bench-scaling: compiling it (minutes the first time)"
	@cargo build --quiet --package origin-consumer --package spillway-bench --bin origin-consumer --bin bench-consumer $(if $(SHORT),,--release)
	@$(with_tools) exec "$${CARGO_TARGET_DIR:-target}/$(if $(SHORT),debug,release)/bench-consumer" --scaling $(if $(SHORT),--short) $(BENCH_FLAGS)

bench-e2e: export SPILLWAY_WITH_ENGINE := 1
bench-e2e: setup ## measure the whole way
	@deploy/local/build-edge.sh
	@echo "bench-e2e: compiling it (minutes the first time)"
	@cargo build --quiet --package origin-consumer --package spillway-bench --bin origin-consumer --bin bench-e2e $(if $(SHORT),,--release)
	@$(with_tools) exec "$${CARGO_TARGET_DIR:-target}/$(if $(SHORT),debug,release)/bench-e2e" $(if $(SHORT),--short) $(BENCH_FLAGS)

instructions: ## count the instructions of hot functions, by callgrind; WRITE=1 sets the budget
	@deploy/local/setup.sh --with-valgrind
	@cargo build --quiet --release --package count-instructions
	@$(with_tools) "$${CARGO_TARGET_DIR:-target}/release/count-instructions" $(if $(WRITE),--write)

check: fmt lint lint-wasm doc deny no-failpoints

fmt:
	cargo fmt --all -- --check
	cargo fmt --manifest-path tests/fuzz/libfuzzer/Cargo.toml -- --check

lint:
	cargo clippy --workspace --all-targets -- --deny warnings

lint-wasm: setup
	deploy/local/build-edge.sh --cargo clippy --package edge-ingest --package read-body --lib --target wasm32-unknown-unknown -- --deny warnings

doc:
	RUSTDOCFLAGS="--deny warnings" cargo doc --workspace --no-deps

deny:
	@deploy/local/setup.sh --with-checkers
	@$(with_tools) "$$SPILLWAY_CARGO_DENY" check bans licenses sources; "$$SPILLWAY_CARGO_MACHETE"

# The failpoints end the process wherever the environment says so.
no-failpoints: ## releases have none
	@cargo tree --package origin-consumer --edges features,normal --depth 1 | { ! grep -w 'fail'; }

audit: ## look for known vulnerabilities; wants the internet
	@deploy/local/setup.sh --with-checkers
	@$(with_tools) "$$SPILLWAY_CARGO_DENY" check advisories

clean: ## remove builds and the data of `make run`; the tools stay
	cargo clean
	rm -rf .run edge-ingest/build
