# The front door. `make` alone lists what there is.
#
#   make demo              set up, build, and watch alerts arrive from simulated cameras
#   LOOP=1 make demo       runs on until Ctrl-C
#   BROKER=mqtt://H:P make demo    through a broker of yours instead of the embedded one
#   REPORT=FILE make demo  writes the summary as JSON too
#   PYTHON=venv/bin/python make bench   a Python with models/training/requirements.txt, for onnxruntime's figures

CARGO      ?= cargo
TARGET_DIR := $(or $(CARGO_TARGET_DIR),target)
DEMO_FLAGS  = --dir .cache/demo --models models $(if $(LOOP),--loop) $(if $(BROKER),--broker $(BROKER)) $(if $(REPORT),--report $(REPORT))

.DEFAULT_GOAL := help
.PHONY: help setup media demo test lint eval accuracy bench

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: ## install the Debian packages that are missing
	@scripts/setup.sh

media: setup ## fetch the sample footage into .cache/media
	@scripts/media.sh

demo: media ## simulated cameras, a broker, the daemon, and its alerts on the screen
	$(CARGO) build --release --locked
	@$(TARGET_DIR)/release/watchfire demo --footage .cache/media/vtest.avi $(DEMO_FLAGS)

lint: setup ## format, clippy (also of the build that README installs), licences (where cargo-deny is installed)
	$(CARGO) fmt --check
	$(CARGO) clippy --locked --all-targets -- -D warnings
	$(CARGO) clippy --locked --no-default-features --bins -- -D warnings
	@if command -v cargo-deny >/dev/null; then $(CARGO) deny --log-level error check; else echo "cargo-deny is not installed: licences not checked"; fi

test: media lint ## everything that proves the product
	WATCHFIRE_FOOTAGE=$(CURDIR)/.cache/media/vtest.avi $(CARGO) test --locked

eval: ## recompute the cards' figures where WATCHFIRE_DATA names the data (MODEL=NAME: one model's)
	$(CARGO) test --release --locked --test figures --test scream -- --include-ignored --nocapture

accuracy: media ## replay recordings with known truth where WATCHFIRE_DATA names them; writes docs/accuracy.md
	WATCHFIRE_FOOTAGE=$(CURDIR)/.cache/media/vtest.avi $(CARGO) test --release --locked --test accuracy -- --ignored --nocapture

bench: setup ## what it costs on this machine: ingest, models beside onnxruntime, latency (4 minutes)
	$(CARGO) bench --locked --bench machine
