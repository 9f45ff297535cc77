# Everything a person does, by name. The logic is in the programs that these call.

# One word for a shell, whatever is in it.
quoted = '$(subst ','\'',$(1))'
# The folder of this file, so that `make -C` and `make -f` work from anywhere.
HERE := $(shell cd "$$(dirname $(call quoted,$(strip $(MAKEFILE_LIST))))" && pwd)
# The first that runs: pyenv's shims are on the path for versions that are not there.
FIND = for name in python3.11 python3.10 python3.9 python3; do $$name -c "" 2>/dev/null && echo $$name && break; done
NAMED = $(patsubst '~/%,~/'%,$(call quoted,$(value PYTHON)))
INTERPRETER := $(or $(if $(PYTHON),$(NAMED)),$(shell $(FIND)),python3)
ifneq ($(PYTHON),)
# Those before 3.6 cannot read even what refuses them.
$(if $(shell $(NAMED) -c 'f""' >/dev/null 2>&1 || echo no),$(error PYTHON=$(value PYTHON): not a Python 3 that runs here))
endif
RUNTIME ?= auto
# How long `make test` usually takes on two cores.
TEST_MINUTES = 8

PROJECT := $(call quoted,$(HERE))
RUN = PYTHONPATH=$(PROJECT) $(INTERPRETER) -m pipeline.runtime
LAUNCH = @$(RUN).launch --runtime $(call quoted,$(or $(value RUNTIME),auto))
INSTALL = @cd $(PROJECT) && $(RUN).venv
VENV = cd $(PROJECT) && .venv/bin
# Tests run make themselves, for which these would mean something else.
PYTEST = cd $(PROJECT) && env -u ARGS -u PYTHON .venv/bin/python -m pytest -q
# Side by side on so many cores: tests often wait, and those of a file stay together.
BESIDE = --numprocesses logical --maxprocesses 4 --no-loadscope-reorder

# What was typed goes on through the environment, where quotes, spaces and dollars stay what they are.
TYPED := $(foreach name,$(.VARIABLES),$(if $(filter command,$(firstword $(origin $(name)))),$(name)))
ifneq ($(TYPED),)
$(foreach name,$(TYPED),$(eval override $(name) := $$(value $(name)))$(eval export $(name)))
COMPLAINT := $(shell $(RUN).targets $(call quoted,$(MAKECMDGOALS)) $(call quoted,$(TYPED)) 2>/dev/null)
$(if $(COMPLAINT),$(error $(COMPLAINT)))
endif

.DEFAULT_GOAL := help
# Each stage takes what the one before it made: `make -j` must not run them at once.
.NOTPARALLEL:
STAGES = data train report evaluate export serve demo predict page status versions promote canary rollback retire history verify logs stop clean gpu-check
.PHONY: help $(STAGES) test test-all soak lint format bench bench-docs lock

help: ## Print this help.
	@echo "make train export serve     from nothing to answers; docs/reference.md has more"
	@grep -hE '^[a-z-]+:.* ## ' $(PROJECT)/Makefile | sed -E 's/:[^#]*## /\t/' | expand -t 10 | grep -v '^help'
	@echo "Development:  $$(grep -hoE '^[a-z-]+:.* ### ' $(PROJECT)/Makefile | cut -d: -f1 | paste -sd ' ')"

data: ## Check the labels in DATA before you train on them.
train: ## Train on DATA, or on drawn garments; go on from the last checkpoint.
report: ## Write the latest run's report: curves, errors, overlays.
evaluate: ## Score the version that serves, or VERSION, on the photos in DATA.
export: ## Prove the best checkpoint and publish it; HOLD=1 does not promote it.
serve: ## Start the server in the background; GATEWAY=1, MONITORING=1 add more.
demo: train export serve ## Train, export, serve, and make a picture of points on drawn garments.
predict: ## Ask the server about IMAGE.
page: ## Serve a page to look at answers and to correct PHOTOS.
status: ## Say what runs, since when and where, and list the versions.
versions: ## List the published versions: score, age, size, which serves.
promote: ## Let VERSION answer.
canary: ## Let VERSION answer beside it, to a name of its own; END=1 ends that.
rollback: ## Let the version answer that answered before.
retire: ## Delete VERSION for good.
history: ## List who changed what, when and why; AT=2026-11-01: what served then.
verify: ## Replay the golden requests: is what answers what was trained?
logs: ## Show the server's log.
stop: ## End the server, the gateway, and what watches them.
clean: ## Delete everything that was made, after asking: runs, models, .venv.
gpu-check: ## Say whether containers can use an NVIDIA GPU, and what is missing.

$(STAGES):
	$(LAUNCH) $@

test: ### Run the tests but for the slow ones.
	$(INSTALL) fast-tests
	@echo "Fast tests, about $(TEST_MINUTES) minutes on two cores. make test-all runs the slow ones too."
	$(PYTEST) -m "not slow" $(BESIDE) $(ARGS)

test-all: ### Run all tests.
	$(INSTALL) all
	$(PYTEST) -m "" $(BESIDE) $(ARGS)

LONGER = $(addprefix tests/,faults release client/test_file_names.py gateway/test_hostile.py model_server/test_fuzz.py test_command_lines.py)
soak: ### Run the tests of faults for longer and with larger numbers (hours).
	$(INSTALL) all
	$(PYTEST) -m "" $(LONGER) --soak -o timeout=3600 $(ARGS)

lint: ### Check style, types and who imports whom.
	$(INSTALL)
	$(VENV)/ruff check .
	$(VENV)/ruff format --check .
	$(VENV)/mypy
	$(VENV)/lint-imports

format: ### Rewrite the code in the project's style.
	$(INSTALL)
	$(VENV)/ruff check --fix .
	$(VENV)/ruff format .

bench: ### Measure, briefly: all benchmarks, or BENCH=<name>; its options in ARGS.
	$(INSTALL) all
	$(VENV)/python -m benchmarks $(or $(BENCH),all) $(or $(ARGS),--quick)

bench-docs: ### Measure at length and write the figures into docs/benchmarks.md.
	$(INSTALL) all
	$(VENV)/python -m benchmarks all
	$(VENV)/python -m benchmarks page

EXTRAS = drift gateway monitoring spark sync
RESOLVE = uv pip compile pyproject.toml --universal --python-version 3.9 --generate-hashes --no-header --no-annotate
lock: ### Resolve pyproject.toml anew into the lock files (needs uv).
	$(RESOLVE) --all-extras --upgrade -o requirements.lock
	$(RESOLVE) --upgrade -o requirements/client.lock
	$(RESOLVE) -c requirements.lock --extra server -o requirements/server.lock
	$(RESOLVE) -c requirements.lock --extra pipeline -o requirements/train.lock
	$(RESOLVE) -c requirements.lock --extra pipeline requirements/gpu.in -o requirements/train-gpu.lock
	for name in $(EXTRAS); do $(subst pyproject.toml,requirements/$$name.in,$(RESOLVE)) -c requirements.lock --overrides requirements/extras.overrides --upgrade -o requirements/$$name.lock || exit 1; done
