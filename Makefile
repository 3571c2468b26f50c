# The door to the project's tasks. Anything longer than one command is in xtask/.

XTASK := cargo run --quiet --package xtask --

.DEFAULT_GOAL := help
.PHONY: help setup build run test check bench perf conformance judge fmt docs

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## /{printf "  %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: ## Install what checks and tests need, where it is missing
	@$(XTASK) setup

build: ## Build the release binary, target/release/mcp-proxy
	@cargo build --release --bin mcp-proxy

run: ## Serve the built-in configuration on 127.0.0.1:3000
	@cargo run --profile quick --bin mcp-proxy -- run

test: ## Run every test: cargo, the shipped policies, the official clients
	@$(XTASK) test

check: ## Formatting, lints, layers, sizes, licences, generated files
	@$(XTASK) check

bench: ## Measure the time of every step, and count its instructions
	@$(XTASK) bench

perf: ## Measure CPU time a request beside a bare pass-through
	@$(XTASK) perf

conformance: ## Run the official scenarios directly and through the gateway
	@cargo build --bin mcp-proxy && $(XTASK) conformance

judge: ## Run the shared tools and corpus against the gateway
	@$(XTASK) judge

fmt: ## Format the code
	@cargo fmt --all

docs: ## Build the API documentation and write the generated files anew
	@$(XTASK) docs
