# Thin: each target is one script, so that it can be run and read without make.
# `make run` and `make test` install what they need (scripts/setup.sh); nothing is asked.

.PHONY: run build ui test lint fuzz conformance clients browser bench soak cross image image-test image-soak packages packages-test docs clean

# Data directory and settings of `make run`: ARGS="--data-dir DIR --config FILE".
run: build
	scripts/run.sh $(ARGS)

build:
	scripts/build.sh

ui:
	scripts/build.sh ui

test:
	scripts/test.sh

lint:
	scripts/test.sh build lint

fuzz:
	scripts/setup.sh rust
	tests/fuzz/run.sh $(or $(SECONDS_EACH),60)

conformance: build
	tests/conformance/run --floors

clients: build
	tests/clients/run

browser: ui
	scripts/test.sh build browser

bench: build
	tests/bench/run
	tests/bench/tap.py --write

# The 30-minute forms and a longer simulation; their log goes to docs/soak.md.
soak: build
	scripts/soak.sh

# The binary for the Pi, and the image that is flashed; into target/cross and target/image.
cross:
	scripts/cross.sh

image:
	scripts/image.sh

# Booted once in an emulated machine, used, its power cut, and booted again.
image-test:
	scripts/setup.sh machine
	tests/boot/run

# Power cuts, updates, a fallback, a Pi 3's devices: an hour or more. Its log goes to docs/.
image-soak:
	tests/boot/soak --log docs/image-soak.md

# .deb, .rpm and .tar.gz into target/packages: of BINARIES="…" that were built before, else of one built here.
packages:
	scripts/packages.sh $(or $(BINARIES),--build)

packages-test:
	tests/packages/run

# Generated parts of docs/: settings table, crate graph.
docs:
	scripts/docs.sh

clean:
	rm -rf target ui/dist ui/node_modules
