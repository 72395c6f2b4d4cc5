# Two commands for a newcomer: `make tour` and `make test`. Both set up, build and run; nothing else is needed.
#   COMPONENTS="graph serve"   restricts set-up, build, tests and tour stops to these
#   BUILD=build-x              another build folder

COMPONENTS ?=
BUILD ?= build
COMPONENT ?=
ifneq ($(COMPONENT),)
COMPONENTS := $(COMPONENT)
endif
only := $(if $(COMPONENTS),--only "$(COMPONENTS)")
configure = cmake -S . -B $(BUILD) -G Ninja -DCMAKE_BUILD_TYPE=Release -DBALLAST_ONLY="$(COMPONENTS)"

.PHONY: tour test build bench peers setup format lint fuzz docs figures install package clean help
help:
	@sed -n '1,3s/^# //p' Makefile
	@echo "targets: tour test build bench peers setup format lint fuzz docs figures install package clean"

setup:
	@setup/setup.sh $(only)

tour:
	@setup/setup.sh --no-tests $(only)
	@$(configure) -DBALLAST_TESTS=OFF >/dev/null
	@cmake --build $(BUILD)
	@$(BUILD)/bin/ballast tour $(COMPONENTS)

build: setup
	@$(configure) >/dev/null
	@cmake --build $(BUILD)

test: setup
	@$(configure) -DBALLAST_TESTS=ON >/dev/null
	@cmake --build $(BUILD)
	@tests/run.sh $(BUILD)

bench: build
	@for c in $(if $(COMPONENTS),$(COMPONENTS),$$($(BUILD)/bin/ballast doctor --json | sed -n 's/.*"name": "\(.*\)".*/\1/p')); do \
	  if $(BUILD)/bin/ballast $$c bench --help >/dev/null 2>&1; then $(BUILD)/bin/ballast $$c bench --quick || exit 1; fi; done

peers:
	@setup/setup.sh $(only) --peers
	@$(configure) >/dev/null
	@cmake --build $(BUILD)

format:
	@git ls-files '*.h' '*.cc' '*.cu' | xargs clang-format -i

# The formatter over everything, the linter over the components named (all by default; minutes each).
lint: build
	@setup/setup.sh --for lint
	@git ls-files '*.h' '*.cc' '*.cu' | xargs clang-format --dry-run --Werror
	@for c in $(if $(COMPONENTS),$(COMPONENTS),$$(ls ballast)); do \
	  git ls-files "ballast/$$c/*.cc" | grep -v _fuzz.cc | xargs -r -n 8 -P 2 clang-tidy --quiet -p $(BUILD) || exit 1; done

# Short runs of every libFuzzer target, under address and undefined-behaviour sanitizers.
fuzz:
	@setup/setup.sh $(only)
	@setup/setup.sh --for fuzz
	@cmake --preset fuzz -DBALLAST_ONLY="$(COMPONENTS)" >/dev/null
	@cmake --build build-fuzz --target fuzz-programs
	@ctest --test-dir build-fuzz --output-on-failure -R '_fuzz$$'

docs:
	@setup/setup.sh --for docs
	@"$${BALLAST_CACHE:-$$HOME/.cache/ballast}/venv/bin/mkdocs" build --quiet --site-dir $(BUILD)/book
	@echo "The book: $(BUILD)/book/index.html; to search in it: python3 -m http.server --bind 127.0.0.1 --directory $(BUILD)/book"

install: build
	@cmake --install $(BUILD)

# Every quick benchmark, recorded for the book's page of claims. Wants a machine that does nothing else.
figures: build
	@for c in $(if $(COMPONENTS),$(COMPONENTS),orch kv graph index ragged dynamic serve tune federate codesign robot); do \
	  $(BUILD)/bin/ballast $$c bench --quick --json docs/figures/$$c.json || exit 1; done
	@python3 cmake/claims.py

# A Debian package.
package: setup
	@cmake -S . -B $(BUILD)-package -G Ninja -DCMAKE_BUILD_TYPE=Release -DBALLAST_ONLY="$(COMPONENTS)" -DBALLAST_TESTS=OFF >/dev/null
	@cmake --build $(BUILD)-package
	@cd $(BUILD)-package && cpack --config CPackConfig.cmake && ls -1 $(CURDIR)/$(BUILD)-package/*.deb

clean:
	@rm -rf $(BUILD)
