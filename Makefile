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

.PHONY: tour test build bench peers setup format lint install clean help
help:
	@sed -n '1,3s/^# //p' Makefile
	@echo "targets: tour test build bench peers setup format lint install clean"

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

lint: build
	@git ls-files '*.h' '*.cc' '*.cu' | xargs clang-format --dry-run --Werror
	@git ls-files 'ballast/*.cc' | xargs clang-tidy --quiet -p $(BUILD)

install: build
	@cmake --install $(BUILD)

clean:
	@rm -rf $(BUILD)
