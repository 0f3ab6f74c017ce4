.PHONY: test-v2
test-v2: packages $(BIN)/python ## the core's tests on a pure cgroup-v2 host: Debian's cloud kernel under qemu
	cargo test -p pyctr-core --lib --test cgroup --test launch --no-run --message-format=json 2>/dev/null \
	    | sed -n 's/.*"executable":"\([^"]*\)".*/\1/p' | xargs $(BIN)/python -m tests.v2.boot
