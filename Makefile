# `make` alone lists what there is to do.
PYTHON ?= python3
TARGET_DIR := $(or $(CARGO_TARGET_DIR),target)

.PHONY: help dev
help: ## this list
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

dev: ## debug build of the extension and the runtime, into python/pyctr
	cargo build -p pyctr-ffi -p pyctr-runtime
	cp $(TARGET_DIR)/debug/lib_core.so python/pyctr/_core.abi3.so
	mkdir -p python/pyctr/_bin && cp $(TARGET_DIR)/debug/pyctr-runtime python/pyctr/_bin/pyctr-runtime
