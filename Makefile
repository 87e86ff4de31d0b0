# Two commands matter: `make demo` and `make test`. Each installs what it misses.

SHELL  := /bin/bash
TOOLS  := target/tools
APT    := cmake gcc make curl openssl nginx-light rclone kannel kannel-extras prometheus oathtool procps systemd python3-venv wrk zbar-tools
# Debian's package of a program, for telling whether it is there already.
PROBES := cmake gcc curl openssl nginx rclone bearerbox smsbox oathtool promtool systemd-analyze wrk zbarimg
export PATH := $(CURDIR)/$(TOOLS)/bin:$(PATH)

.PHONY: demo test bench lint build tools clean

demo: $(TOOLS)/bin/copyparty build ## a demo share behind the gateway, on http://127.0.0.1:8080
	target/debug/vestibule demo

build: | tools
	cargo build

test: $(TOOLS)/bin/copyparty build ## everything: units, the whole program against real servers, doctests
	tests/run.sh

bench: | tools ## PERFORMANCE.md's tables, measured side by side
	cargo build --release
	cargo bench

lint: ## what CI asks besides the tests
	cargo fmt --check
	cargo clippy --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --no-deps
	$(TOOLS)/bin/cargo-deny check licenses bans sources

tools: ## Debian packages, only those that are missing
	@missing=0; for p in $(PROBES); do command -v $$p >/dev/null || [ -x /usr/sbin/$$p ] || { echo "missing: $$p"; missing=1; }; done; \
	python3 -c 'import ensurepip' 2>/dev/null || { echo "missing: python3-venv"; missing=1; }; \
	if [ $$missing = 1 ]; then \
	  SUDO=; [ "$$(id -u)" = 0 ] || SUDO=sudo; \
	  $$SUDO apt-get update -qq && DEBIAN_FRONTEND=noninteractive $$SUDO apt-get install -y -qq --no-install-recommends $(APT); \
	fi

$(TOOLS)/bin/copyparty: tests/requirements.txt | tools
	python3 -m venv $(TOOLS)
	$(TOOLS)/bin/pip install --quiet --disable-pip-version-check --requirement $<
	touch $@

clean:
	cargo clean
