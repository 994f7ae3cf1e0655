# What there is to do here. `make` alone lists it.

SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.PHONY: help build test fuzz differential lint demo bench manifests certs page image clean tools parts

CARGO ?= cargo
GO ?= go
# The story on real parts. KEEP=1 leaves everything running when it is told.
DEMO ?= $(CARGO) run --quiet --package certgate-lab --bin demo --
KEEP ?=
# For how long hostile DNS answers and hostile reviews are tried, each.
FUZZ_SECONDS ?= 60
# And for how long by `make fuzz`.
LONG_FUZZ_SECONDS ?= 300
# How many test programs run at once; they wait more than they compute.
JOBS ?= 3
# The image's name and tag.
IMAGE ?= certgate:dev

say = @printf '\n\033[1m==> %s\033[0m\n' "$(1)"

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

build: tools ## build the certgate command
	$(CARGO) build --locked

test: lint parts ## check everything: format, lints, unit, chart and lab tests
	$(call say,tests)
	CARGO="$(CARGO)" JOBS=$(JOBS) CERTGATE_FUZZ_SECONDS=$(FUZZ_SECONDS) tests/side-by-side

fuzz: tools ## break reviews and watched objects for five minutes each (LONG_FUZZ_SECONDS): no panic, no growth, nothing lost
	CERTGATE_FUZZ_SECONDS=$(LONG_FUZZ_SECONDS) $(CARGO) test --locked --release --test fuzz_review --test fuzz_objects -- --nocapture

differential: tools ## compare names, addresses, CAA and budgets with Boulder's own code (CERTGATE_DIFFERENTIAL_SEED)
	$(CARGO) test --quiet --locked --test differential -- --ignored --nocapture --test-threads=1

lint: tools ## check format, lints and, where cargo-deny is installed, dependencies
	$(call say,format)
	$(CARGO) fmt --all --check
	$(call say,lints)
	$(CARGO) clippy --locked --workspace --all-targets -- -D warnings
	$(call say,dependencies)
	@if $(CARGO) deny --version >/dev/null 2>&1; then $(CARGO) deny check bans licenses sources; \
	else echo "cargo-deny is not installed, so deny.toml is not checked (cargo install --locked cargo-deny)"; fi

demo: tools ## tell the story on real parts; KEEP=1 leaves it running
	$(call say,parts of the story)
	KEEP=$(KEEP) $(DEMO)

bench: tools parts ## measure the decision, the webhook, the gate, and what a CA with limits refuses
	$(CARGO) bench --locked
	$(call say,a CA with limits: Ingresses with annotation and TLS from the start, then the same load with certgate)
	$(CARGO) test --quiet --locked --test ca_limits -- --include-ignored --nocapture --test-threads=1

manifests: parts ## write anew what is generated: definitions, plain manifests, schemas, reference pages
	CERTGATE_UPDATE=1 $(CARGO) test --quiet --locked --test generated -- --test-threads=1

page: ## drive the status page in headless Chromium (apt-get install chromium npm fonts-noto-cjk); pictures go to target/page
	$(CARGO) test --quiet --locked --test page -- --ignored

certs: ## make certificates for development in certs/
	certs/make.sh

image: tools ## build the container image: with docker where a daemon runs, else as an archive in target/image
	@if docker info >/dev/null 2>&1; then docker build --tag $(IMAGE) .; else .ci/image $(IMAGE); fi

clean: ## remove what was built (the lab's parts stay in their cache)
	$(CARGO) clean
	rm -f certs/*.crt certs/*.key

# The real Kubernetes, cert-manager and ACME server that tests and demo run on; minutes the first time, then nothing.
parts: tools
	$(call say,parts of the lab)
	$(CARGO) run --quiet --locked --package certgate-lab --bin lab-parts

tools:
	@command -v $(CARGO) >/dev/null || { echo "Rust is missing: install it from https://rustup.rs (rust-toolchain.toml picks the version)"; exit 1; }
	@command -v $(GO) >/dev/null || { echo "Go is missing: install 1.26 or later from https://go.dev/dl (it builds the lab's Kubernetes)"; exit 1; }
	@command -v cc >/dev/null || { echo "a C compiler is missing: install gcc or clang (it builds the TLS library)"; exit 1; }
