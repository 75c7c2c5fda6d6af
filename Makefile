# What there is to do with Berth. `make` alone lists it.
#
# Every cargo command names the whole workspace, so that all of them build the dependencies with the same features and
# nothing is compiled twice: `cargo run -p e2e` would compile many crates anew.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
# Cargo uses all cores by itself, and its commands lock each other out.
.NOTPARALLEL:

CARGO ?= cargo
# Where nobody is there to look at it, Cargo.lock is not changed silently.
LOCKED := $(if $(CI),--locked)
TARGET := $(abspath $(or $(CARGO_TARGET_DIR),target))

# Property tests draw their cases from this number; the same number draws the same cases again.
ifndef PROPTEST_RNG_SEED
PROPTEST_RNG_SEED := $(shell od -An -N4 -tu4 /dev/urandom | tr -d ' ')
endif
export PROPTEST_RNG_SEED

# Integration tests by name: those of the library need nothing, those of e2e need a control plane.
tests-in = $(addprefix --test ,$(patsubst $(1)/%.rs,%,$(wildcard $(1)/*.rs)) \
	$(patsubst $(1)/%/main.rs,%,$(wildcard $(1)/*/main.rs)))

.PHONY: help
help: ## List what can be made
	@echo 'usage: make TARGET [ARGS="..."]'
	@echo
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  %-15s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

.PHONY: test
test: format-check lint unit e2e ## Check and test everything (the first time takes long: it builds Kubernetes)

# The test among the targets is there for its features: without it the client library would be compiled once more.
.PHONY: build
build: ## Build the programs for development (target/debug/berth)
	$(CARGO) build $(LOCKED) --workspace --bins $(call tests-in,e2e/tests)

.PHONY: release
release: ## Build the programs for use and for load runs (target/release/berth)
	$(CARGO) build $(LOCKED) --workspace --bins --release

.PHONY: demo
demo: ## See the scheduler fill a cluster that exists only in its process (ARGS: see make demo ARGS=--help)
	$(CARGO) build $(LOCKED) --workspace --bin berth --release
	$(TARGET)/release/berth demo $(ARGS)

.PHONY: fmt
fmt: ## Format the code
	$(CARGO) fmt --all

.PHONY: format-check
format-check: ## Check that the code is formatted
	$(CARGO) fmt --all --check

.PHONY: lint
lint: ## Run clippy on everything; warnings are errors
	$(CARGO) clippy $(LOCKED) --workspace --all-targets -- -D warnings

.PHONY: unit
unit: ## Run the unit and property tests (ARGS: a filter)
	@echo 'property tests draw from PROPTEST_RNG_SEED=$(PROPTEST_RNG_SEED); pass it to make to have the same cases again'
	$(CARGO) test $(LOCKED) --workspace --lib --bins $(call tests-in,tests) -- $(ARGS)

.PHONY: control-plane
control-plane: build ## Build etcd, kube-apiserver and kube-scheduler for the e2e tests, unless they are cached
	@echo 'control plane: from the cache, or else from Go modules, which takes about 6 minutes on 2 cores'
	$(TARGET)/debug/controlplane build

# The tests start the program that was built just now, and not an older or a release build.
.PHONY: e2e
e2e: control-plane ## Run the tests against a real API server (ARGS: a filter; E2E_SCHEDULER=kube-scheduler)
	BERTH_BIN=$(TARGET)/debug/berth $(CARGO) test $(LOCKED) --workspace $(call tests-in,e2e/tests) -- $(ARGS)

# kube-scheduler shows what can be passed on nodes that do not exist.
SCHEDULER ?= berth

.PHONY: conformance
conformance: build ## Run Kubernetes' own scheduling tests (SCHEDULER=kube-scheduler; GROUPS=gangs,preemption; FOCUS=text)
	BERTH_BIN=$(TARGET)/debug/berth $(TARGET)/debug/conformance --scheduler $(SCHEDULER) \
		--logs $(TARGET)/conformance/$(SCHEDULER) $(if $(GROUPS),--groups '$(GROUPS)') \
		$(if $(FOCUS),--focus '$(FOCUS)') $(ARGS)

HISTORIES ?= 100000

.PHONY: soak
soak: ## Lead gangs through very many random histories (HISTORIES=100000)
	@echo 'histories from PROPTEST_RNG_SEED=$(PROPTEST_RNG_SEED); BERTH_GANG_HISTORY_SEED=... leads a single one'
	BERTH_GANG_HISTORIES=$(HISTORIES) $(CARGO) test $(LOCKED) --workspace --lib --release -- \
		gangs::histories::every_history_ends_well gangs::rivals::every_history_ends_well

COUNT ?= 1000
SEED ?= 1

.PHONY: twin
twin: control-plane ## Ask Berth and kube-scheduler the same random questions (COUNT=5000 SEED=42)
	BERTH_BIN=$(TARGET)/debug/berth $(TARGET)/debug/twin --count $(COUNT) --seed $(SEED) $(ARGS)

.PHONY: bench
bench: ## Run the decision benches (ARGS: a filter)
	$(CARGO) bench $(LOCKED) --workspace --bench decisions -- $(ARGS)

.PHONY: load
load: release ## Measure schedulers on a real API server (ARGS: see make load ARGS=--help)
	$(TARGET)/release/load $(ARGS)

IMAGE ?= berth:latest
KUBECTL ?= kubectl
# Every command names the context, so that a cluster that happens to be the current one is never touched.
KIND_CONTEXT := kind-berth

.PHONY: image
image: ## Build the container image (IMAGE=berth:latest; needs Docker)
	docker build --tag $(IMAGE) .

.PHONY: kind-up
kind-up: ## Start a kind cluster with four workers in two zones (needs Docker and kind)
	kind get clusters | grep -qx berth || kind create cluster --config kind-config.yaml --wait 120s

.PHONY: deploy
deploy: image ## Build the image and install it into the kind cluster
	kind load docker-image --name berth $(IMAGE)
	$(KUBECTL) --context $(KIND_CONTEXT) apply -k deploy
	$(KUBECTL) --context $(KIND_CONTEXT) --namespace kube-system rollout status deployment/berth --timeout 120s

.PHONY: e2e-kind
e2e-kind: kind-up deploy ## Install into kind and see that a pod is placed and another one is refused with a reason
	KUBECTL='$(KUBECTL) --context $(KIND_CONTEXT)' scripts/e2e-kind

.PHONY: kind-down
kind-down: ## Delete the kind cluster
	kind delete cluster --name berth

.PHONY: audit
audit: ## Check dependencies: advisories, licences, bans, sources (needs cargo-deny)
	@$(CARGO) deny --version > /dev/null 2>&1 || { \
		echo 'cargo-deny is not installed; install it with: cargo install cargo-deny --locked' >&2; exit 1; }
	$(CARGO) deny --workspace check

.PHONY: clean
clean: ## Remove what was built; the control plane stays in ~/.cache/berth
	$(CARGO) clean
