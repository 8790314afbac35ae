# The front door of the repository. `make` by itself lists what there is; every target works from a fresh clone.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-builtin-rules --no-print-directory

# Continuous integration must build exactly what is committed, and throws its build away.
ifeq ($(CI),true)
LOCKED := --locked
export CARGO_INCREMENTAL := 0
endif

# Docker, or a program that takes its arguments.
ENGINE ?= docker
VERSION = $(shell sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -n 1)
HOST = $(shell rustc -vV | sed -n 's/^host: //p')

# Seconds each fuzz target runs in `make fuzz`; the tests run them for less.
SECONDS_EACH ?= 60

# The steps of `make test`, in the order in which a mistake is found soonest.
STEPS := test-format test-lint test-docs test-rust test-archive test-instructions test-js test-php test-python test-browser test-fuzz test-deploy

.PHONY: help run build test $(STEPS) test-tools repeat fmt lint fuzz instructions-baseline bench image image-binary compose clean

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@printf '\nArguments for the broker go into ARGS: make run ARGS="--port 8000"\n'

run: ## Build the broker and start it with nothing to configure
	cargo run $(LOCKED) --release --package fanwire -- serve $(ARGS)

build: ## Build everything for debugging
	cargo build $(LOCKED) --workspace

test: test-tools ## Install what the tests need and run all of them, stopping at the first failure
	@passed=0; \
	for step in $(STEPS); do \
		printf '\n==> %s\n' "$$step"; \
		started=$$SECONDS; \
		$(MAKE) "$$step"; \
		passed=$$((passed + 1)); \
		printf '==> %s passed in %d s\n' "$$step" "$$((SECONDS - started))"; \
	done; \
	printf '\nsteps: %d passed, 0 failed\n' "$$passed"

test-tools: ## Install what the tests need and this machine lacks (Debian packages)
	@.ci/test-tools

test-format: ## Check the format of the Rust code
	cargo fmt --all --check
	cargo fmt --manifest-path fuzz/Cargo.toml --check

test-lint: ## Run clippy with warnings denied
	cargo clippy $(LOCKED) --workspace --all-targets -- -D warnings

test-docs: ## Build the documentation with warnings denied
	RUSTDOCFLAGS='-D warnings' cargo doc $(LOCKED) --workspace --no-deps

test-rust: build ## Run unit, property, golden-vector, end-to-end and tidy tests
	cargo test $(LOCKED) --workspace

# All packages are named, so that the libraries are those that test-rust has built.
test-archive: build ## Run the end-to-end tests again, over an archive in memory whose offsets grow in steps of seven
	cargo test $(LOCKED) --workspace --features fanwire-tests/stepped-archive --test e2e

test-instructions: ## Count the instructions of the hot pieces under valgrind, against the committed baseline
	cargo run $(LOCKED) --release --package fanwire-instructions -- check

test-php: build ## Run the PHP client and the PHP examples by a real php against the broker
	client-sdk/php/test.sh
	tests/php/run.sh

test-python: build ## Run Pusher's libraries for Python against the broker
	tests/python/run.sh

test-js: ## Check, build and test the JavaScript client in Node
	cd client-sdk/js && npm ci --no-audit --no-fund && npm test
	cd console && npm ci --no-audit --no-fund && npm test

test-browser: build ## Run the pages and the JavaScript client in a real headless Chromium
	cd tests/browser && npm ci --no-audit --no-fund && npm test

test-fuzz: ## Run every fuzz target for a few seconds
	fuzz/run.sh 5

test-deploy: build image-binary ## Test what deploy/ ships with the real tools, the container image included
	deploy/test.sh

repeat: test-tools ## Run the suites RUNS (10) times, BUSY (half) of them beside a busy loop on each core, and print which tests ever differed
	@tests/repeat/run.sh $(or $(RUNS),10) $(BUSY)

fmt: ## Format the Rust code
	cargo fmt --all
	cargo fmt --manifest-path fuzz/Cargo.toml

lint: test-lint ## Run clippy with warnings denied

fuzz: ## Run every fuzz target for SECONDS_EACH (60) seconds
	fuzz/run.sh $(SECONDS_EACH)

instructions-baseline: ## Write the baseline of test-instructions anew
	cargo run $(LOCKED) --release --package fanwire-instructions -- renew

bench: ## Measure the broker beside the peers that can be had (about 20 minutes); ARGS="fanout-64 idle" chooses scenarios
	cargo build $(LOCKED) --release --package fanwire
	bench/peers.sh
	bench/compare.sh $(ARGS)

# With a target named, the flags hold for the binary and not for build scripts and macros, which must stay dynamic.
image-binary:
	RUSTFLAGS='-C target-feature=+crt-static' cargo build $(LOCKED) --release --package fanwire --target $(HOST)
	install -D --mode 755 target/$(HOST)/release/fanwire build/image/fanwire

image: image-binary ## Build the container image fanwire:VERSION from a static binary
	$(ENGINE) build --tag fanwire:$(VERSION) --tag fanwire:latest --file deploy/Containerfile build/image

compose: image ## Start the broker, Prometheus and Grafana on loopback
	$(ENGINE) compose --file deploy/compose.yaml up

clean: ## Remove everything that was built
	cargo clean
	rm -rf build fuzz/target tests/browser/node_modules client-sdk/js/node_modules console/node_modules client-sdk/php/vendor
