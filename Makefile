# `make help` tells what there is. Rust (cargo) and Python 3 are all it takes; everything else comes into .tools/.

# Words for the command behind a target: make up ARGS="--port 4333", make test ARGS=ladder
ARGS ?=
CARGO ?= cargo
PYTHON ?= python3

.DEFAULT_GOAL := help
.PHONY: help up test examples chaos bench instructions lint schemas tools image

help: ## tell what there is
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-13s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

up: ## a NATS server and the engine with profile demo: the whole ladder in twelve seconds
	@scripts/tools server
	$(CARGO) run --locked --release -- up --profile demo $(ARGS)

test: ## all tests: Rust's, the documentation's, and a foreign client's in Python
	@scripts/tools
	$(CARGO) build --locked --bins --examples
	$(CARGO) test --locked --doc
	@if $(CARGO) nextest --version >/dev/null 2>&1; then set -- nextest run; else set -- test --lib --bins --tests; fi; \
	set -x; $(CARGO) "$$@" --locked $(ARGS)
	PYTHONPATH=.tools/python PRESENCE_BIN="$${CARGO_TARGET_DIR:-target}/debug/presence" \
		$(PYTHON) tests/python/foreign_client.py

# make examples ARGS=av_call runs one.
examples: ## stories in Rust and Python, each with a cast of its own: a call, a support desk, who is really here, a gateway
	@scripts/tools
	$(CARGO) build --locked --bins --examples
	@scripts/examples $(ARGS)

# CHAOS_SEED chooses the same nemeses again; CHAOS_SECONDS says how long they strike, CHAOS_ENGINES how many engines there are.
chaos: ## ten minutes of killed, stopped and cut-off engines and servers, a full disk and wrong clocks
	@scripts/tools server
	CHAOS_SEED="$${CHAOS_SEED:-$$(date +%s)}" CHAOS_SECONDS="$${CHAOS_SECONDS:-540}" \
		$(CARGO) test --locked --test chaos -- --nocapture $(ARGS)

# make bench ARGS="--bench engines -- takeover --small" measures that alone, and quickly.
bench: ## measure the fold, waits, rooms, and engines that share the partitions (the whole path: presence bench)
	@scripts/tools server
	$(CARGO) bench --locked $(ARGS)

instructions: ## count what a heartbeat costs the fold, with valgrind, and fail above the bound
	@scripts/instructions

lint: ## formatting, clippy and documentation, with warnings as errors
	$(CARGO) fmt --all --check
	$(CARGO) clippy --locked --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --locked --no-deps --document-private-items

schemas: ## write schemas/ anew from the Rust types
	$(CARGO) run --locked --quiet -- schema --write schemas

tools: ## fetch nats-server and Python's NATS client into .tools/, as the other targets do by themselves
	@scripts/tools

image: ## container images for the tests: the NATS server's, where none can be pulled, and the engine's
	@scripts/tools server
	@scripts/test-image
	$(CARGO) build --locked
	@scripts/engine-image
