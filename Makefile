# Two commands for a fresh machine: `make up` runs the product, `make test` runs every test.
# Both install what is missing first (scripts/setup says what and why).

.PHONY: up test build setup lint clean-data

export CARGO_TERM_COLOR ?= auto

up: build
	@echo "==> starting hoofbeat (first start: makes a reference cohort and trains, about a minute)"
	$${CARGO_TARGET_DIR:-target}/release/hoofbeat up

build: setup
	@echo "==> building hoofbeat in release mode (first time on 2 cores: about 25 minutes; later: seconds)"
	cargo build --release --locked --bin hoofbeat

test: setup
	@scripts/setup --tests
	@echo "==> checking format and lints"
	cargo fmt --all --check
	cargo clippy --locked --workspace --all-targets --quiet -- --deny warnings
	@echo "==> running every test (first time on 2 cores: well over half an hour, most of it compiling)"
	cargo test --locked --workspace --no-fail-fast

setup:
	@scripts/setup
	@scripts/fetch-engines

clean-data:
	rm -rf hoofbeat-data
