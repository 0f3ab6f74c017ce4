# `make` alone lists what there is to do.
SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PYTEST := $(BIN)/python -m pytest tests
TARGET_DIR := $(or $(CARGO_TARGET_DIR),target)
# What tests compare with and build images from; all of it Debian's.
PACKAGES := build-essential python3-venv busybox-static mmdebstrap runc crun podman docker.io skopeo umoci buildah strace \
	stress-ng attr acl libcap2-bin xz-utils zstd bzip2 cpio qemu-system-x86 valgrind procps util-linux uidmap kmod \
	docker-registry fish zsh iproute2 nftables iptables openssl bind9-dnsutils iperf3 faketime slirp4netns

.DEFAULT_GOAL := help
.PHONY: help setup packages install demo test lint compile-tests test-rust test-python test-v2 bench dev wheel clean

help: ## this list
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

packages: ## Debian packages that tests and demo use (as root, where apt-get is; otherwise what is missing is named)
	@missing=$$(for package in $(PACKAGES); do \
	    dpkg-query -W -f='$${Status}' $$package 2>/dev/null | grep -q 'ok installed' || echo $$package; done); \
	if [ -z "$$missing" ]; then exit 0; fi; \
	if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	    export DEBIAN_FRONTEND=noninteractive; \
	    apt-get update -qq && apt-get install -y -qq --no-install-recommends $$missing >/dev/null; \
	else echo "not installed, tests that need them are skipped:" $$missing; fi

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade 'pip>=23'

install: $(BIN)/python ## build the wheel and install it, with its test tools, into .venv
	$(BIN)/python -m pip install --quiet '.[test]'

setup: packages install ## everything demo and test need

demo: setup ## install into .venv, run a container, show what is isolated
	$(BIN)/pyctr run --rm hello

lint: $(BIN)/python ## formatting, clippy, ruff, mypy, stubs
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --quiet -- -D warnings
	$(BIN)/ruff check python tests benches
	$(BIN)/ruff format --check python tests benches
	$(BIN)/mypy

compile-tests: ## what lint and test-rust compile, without running it
	cargo clippy --workspace --all-targets --quiet -- -D warnings
	cargo test --workspace --quiet --no-run

test-rust: ## unit and integration tests of the core
	cargo test --workspace --quiet

test-python: install ## tests of the package as installed
	$(PYTEST)

# The wheel's last steps, one crate at a time, leave a processor idle: what the other checks compile is compiled beside it.
# Nothing is run before both are done.
test: packages ## every test, with all its own set-up
	$(MAKE) --no-print-directory --jobs=2 --output-sync=target install compile-tests
	$(MAKE) --no-print-directory lint test-rust
	$(PYTEST)

bench: setup ## the rows of docs/performance.md against every peer installed
	$(BIN)/python -m benches

dev: ## debug build of the extension and the binaries, into python/pyctr
	PYO3_BUILD_EXTENSION_MODULE=1 cargo build -p pyctr-ffi -p pyctr-runtime
	RUSTFLAGS=-Ctarget-feature=+crt-static cargo build -p pyctr-hello --target $(shell rustc -vV | sed -n 's/host: //p')
	install $(TARGET_DIR)/debug/lib_core.so python/pyctr/_core.abi3.so
	install -D -t python/pyctr/_bin $(TARGET_DIR)/debug/pyctr-runtime
	install -t python/pyctr/_bin $(TARGET_DIR)/$(shell rustc -vV | sed -n 's/host: //p')/debug/pyctr-hello

wheel: $(BIN)/python ## a wheel for this machine, in dist/
	$(BIN)/python -m pip wheel --quiet --no-deps --wheel-dir dist .

clean: ## what was built
	rm -rf $(VENV) dist build target
-include mk/*.mk
