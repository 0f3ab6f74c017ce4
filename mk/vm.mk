# Tests in a virtual machine: a host that has control groups v2 only, a host with systemd, another processor (tests/vm). Its 77 is "skipped".
.PHONY: test-v2 test-aarch64 wheel-aarch64 aarch64
VM = $(PYTHON) -m tests.vm --cache $(TARGET_DIR)/vm

test-v2: packages dev ## the core's tests and the command line on a host with cgroup v2 only, with systemd and without
	@set -o pipefail; tests=$$(cargo test -p pyctr-core --lib --test launch --no-run --message-format=json 2>/dev/null \
	    | sed -n 's/.*"executable":"\([^"]*\)".*/\1/p') && \
	files=(--package python/pyctr) && runs=() && for test in $$tests; do name=$$(basename $${test%-*}); \
	    files+=(--file "$$test:/bin/$$name-test"); runs+=(--run "echo == $$name; $$name-test --test-threads 1"); done && \
	{ $(VM) --systemd "$${files[@]}" --run "echo == engine below systemd; engine-test systemd" \
	    --run "echo == below systemd; pyctr_core-test --test-threads 1 cgroup::" || [ $$? = 77 ]; } && \
	{ $(VM) "$${files[@]}" "$${runs[@]}" --run "echo == engine; engine-test cgroupfs" || [ $$? = 77 ]; }

ARM := aarch64-unknown-linux-gnu
aarch64: packages # what builds for the other processor: Rust's standard library for it, Debian's linker and C library
	@rustup target list --installed | grep -qx $(ARM) || rustup target add $(ARM)
	@missing=$$(for package in gcc-aarch64-linux-gnu libc6-dev-arm64-cross qemu-system-arm; do \
	    dpkg-query -W -f='$${Status}' $$package 2>/dev/null | grep -q 'ok installed' || echo $$package; done); \
	[ -z "$$missing" ] || DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $$missing >/dev/null

wheel-aarch64 test-aarch64: export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER = aarch64-linux-gnu-gcc
wheel-aarch64 test-aarch64: export CC_aarch64_unknown_linux_gnu = aarch64-linux-gnu-gcc

wheel-aarch64: aarch64 install ## a wheel for aarch64, in dist/
	$(BIN)/python -m pip install --quiet 'maturin>=1.12,<2'
	$(BIN)/maturin build --quiet --release --target $(ARM) --out dist

test-aarch64: wheel-aarch64 ## that wheel's command line, and the core's tests, on an emulated aarch64 host
	@set -o pipefail; rm -rf $(TARGET_DIR)/vm/wheel && \
	$(PYTHON) -m zipfile -e dist/pyctr_engine-*aarch64.whl $(TARGET_DIR)/vm/wheel && chmod +x $(TARGET_DIR)/vm/wheel/pyctr/_bin/* && \
	tests=$$(cargo test --target $(ARM) -p pyctr-core --lib --test launch --test layer --no-run --message-format=json 2>/dev/null \
	    | sed -n 's/.*"executable":"\([^"]*\)".*/\1/p') && \
	files=(--package $(TARGET_DIR)/vm/wheel/pyctr) && runs=() && for test in $$tests; do name=$$(basename $${test%-*}); \
	    files+=(--file "$$test:/bin/$$name-test"); runs+=(--run "echo == $$name; $$name-test --test-threads 1"); done && \
	{ $(VM) --machine aarch64 "$${files[@]}" "$${runs[@]}" --run "echo == engine; engine-test cgroupfs" || [ $$? = 77 ]; }
