# Tests on a host that has control groups v2 only: a virtual machine, see tests/v2/boot.py. 77 of boot.py is "skipped".
.PHONY: test-v2
test-v2: ## control-group tests on a host with v2 only (a virtual machine)
	@test=$$(cargo test --quiet -p pyctr-core --lib --no-run --message-format=json \
	    | $(PYTHON) -c 'import json,sys; print(*[m["executable"] for m in map(json.loads, sys.stdin) if m.get("executable")])') && \
	$(PYTHON) tests/v2/boot.py --cache $(TARGET_DIR)/v2 --file "$$test:/bin/core-test" \
	    --run 'core-test --nocapture --test-threads 1 cgroup::' || [ $$? = 77 ]
