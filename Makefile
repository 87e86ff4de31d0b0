# Two commands matter: `make demo` and `make test`. Each installs what it misses.

SHELL  := /bin/bash
TOOLS  := target/tools
BROWSER:= $(TOOLS)/browser/node_modules/.package-lock.json
# program:Debian's package of it. What is there from elsewhere (a newer node) is left alone. First what the program and its
# demo take, then what the tests take besides.
BUILDS := cmake:cmake gcc:gcc /usr/include/stdio.h:libc6-dev make:make curl:curl
TESTS  := openssl:openssl nginx:nginx-light caddy:caddy haproxy:haproxy rclone:rclone cadaver:cadaver litmus:litmus bearerbox:kannel \
          /usr/lib/kannel/test/fakesmsc:kannel-extras promtool:prometheus oathtool:oathtool ps:procps systemd-analyze:systemd wrk:wrk \
          /lib/systemd/systemd:systemd ip:iproute2 adduser:adduser unshare:util-linux dpkg-deb:dpkg dpkg-shlibdeps:dpkg-dev \
          zbarimg:zbar-tools groff:groff-base chromium:chromium /usr/share/fonts/opentype/inter:fonts-inter node:nodejs npm:npm
# Packages that start a server of their own when they are installed: not wanted here, and not at the next start either.
SERVICES := nginx-light caddy haproxy kannel prometheus
export PATH := $(CURDIR)/$(TOOLS)/bin:$(PATH)

# All that the tests take from PyPI; the demo takes copyparty alone.
PYPI   := $(TOOLS)/.requirements
# Changed here, it is installed anew.
DEB    := $(TOOLS)/.cargo-deb-3.8.0

.PHONY: demo test deb screens bench lint build build-tools tools clean

demo: $(TOOLS)/bin/copyparty build ## a demo share behind the gateway, on http://127.0.0.1:8080
	target/debug/vestibule demo

build: | build-tools
	cargo build

test: $(PYPI) $(BROWSER) $(DEB) build ## everything: units, the whole program against real servers, doctests
	tests/run.sh

deb: $(DEB) ## target/debian/vestibule_*.deb, of a release build
	cargo build --release --locked
	packaging/stage.sh target/release/vestibule
	cargo-deb --no-build --locked

screens: $(TOOLS)/bin/copyparty $(BROWSER) build ## the README's pictures, from a walk through the demo
	cargo test --test it demo::a_person
	mkdir -p docs/screens && cp target/screens/pictures/*.png docs/screens/

bench: | tools ## PERFORMANCE.md's tables, measured side by side
	cargo build --release
	cargo bench

lint: $(PYPI) ## what CI asks besides the tests
	cargo fmt --check
	cargo clippy --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --no-deps
	$(TOOLS)/bin/cargo-deny check licenses bans sources

build-tools: NEEDS := $(BUILDS)
tools: NEEDS := $(BUILDS) $(TESTS)
build-tools tools: ## Debian packages, only those that are missing
	@command -v cargo >/dev/null || { echo "there is no Rust: https://rustup.rs installs it"; exit 1; }
	@missing=; for need in $(NEEDS); do \
	  program=$${need%%:*}; command -v $$program >/dev/null || [ -x /usr/sbin/$$program ] || [ -e $$program ] || missing="$$missing $${need#*:}"; \
	done; \
	python3 -c 'import ensurepip' 2>/dev/null || missing="$$missing python3-venv"; \
	if [ -n "$$missing" ]; then \
	  echo "missing:$$missing"; SUDO=; [ "$$(id -u)" = 0 ] || SUDO=sudo; \
	  $$SUDO apt-get update -qq && DEBIAN_FRONTEND=noninteractive $$SUDO apt-get install -y -qq --no-install-recommends $$missing || exit 1; \
	  for service in $(SERVICES); do \
	    case "$$missing " in *" $$service "*) $$SUDO systemctl disable --quiet --now $${service%-light} >/dev/null 2>&1 || true;; esac; \
	  done; \
	fi

$(TOOLS)/bin/copyparty: tests/requirements.txt | build-tools
	python3 -m venv $(TOOLS)
	$(TOOLS)/bin/python3 -m pip install --quiet --disable-pip-version-check "$$(grep ^copyparty $<)"
	touch $@

$(PYPI): tests/requirements.txt $(TOOLS)/bin/copyparty | tools
	$(TOOLS)/bin/python3 -m pip install --quiet --disable-pip-version-check --requirement $<
	touch $@

# A driver for Debian's Chromium, and the accessibility rules: no browser of its own.
$(BROWSER): tests/browser/package-lock.json | tools
	mkdir -p $(TOOLS)/browser
	cp tests/browser/package.json tests/browser/package-lock.json $(TOOLS)/browser/
	npm ci --prefix $(TOOLS)/browser --ignore-scripts --no-audit --no-fund --loglevel=error
	touch $@

$(DEB): | tools
	cargo install cargo-deb --version $(@:$(TOOLS)/.cargo-deb-%=%) --locked --root $(TOOLS)
	touch $@

clean:
	cargo clean
