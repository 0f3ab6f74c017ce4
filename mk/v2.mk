# Tests on a host that has control groups v2 only: a virtual machine, see tests/v2/boot.py. 77 of boot.py is "skipped".
.PHONY: test-v2
test-v2: packages dev ## the core's tests on a host with cgroup v2 only: Debian's cloud kernel under qemu
	@set -o pipefail; tests=$$(cargo test -p pyctr-core --lib --test launch --no-run --message-format=json 2>/dev/null \
	    | sed -n 's/.*"executable":"\([^"]*\)".*/\1/p') && \
	files=(--file /sbin/ip:/sbin/ip --file /usr/sbin/nft:/usr/sbin/nft) && runs=() && for test in $$tests; do name=$$(basename $${test%-*}); \
	    files+=(--file "$$test:/bin/$$name-test"); runs+=(--run "echo == $$name; $$name-test --test-threads 1"); done && \
	{ $(PYTHON) tests/v2/boot.py --systemd --engine --cache $(TARGET_DIR)/v2 "$${files[@]}" \
	    --run "echo == engine below systemd; engine-test systemd" \
	    --run "echo == below systemd; pyctr_core-test --test-threads 1 cgroup::" || [ $$? = 77 ]; } && \
	{ $(PYTHON) tests/v2/boot.py --engine --cache $(TARGET_DIR)/v2 "$${files[@]}" "$${runs[@]}" \
	    --run "echo == engine; engine-test cgroupfs" || [ $$? = 77 ]; }
