# Everything a person does, by name. The logic is in the programs that these call.

PYTHON ?= $(firstword $(foreach name,python3.11 python3.10 python3.9 python3,$(shell command -v $(name))) python3)
RUNTIME ?= auto
LAUNCH = @PYTHONPATH=client $(PYTHON) -m pipeline.runtime.launch --runtime $(RUNTIME)
VENV = .venv/bin

.DEFAULT_GOAL := help
# Each stage takes what the one before it made: `make -j` must not run them at once.
.NOTPARALLEL:
.PHONY: help train report evaluate export serve demo predict status versions promote rollback verify logs gpu-check stop clean test soak lint bench bench-docs format lock

help: ## Print this help.
	@echo "make train export serve     from nothing to a model that answers; then: make predict IMAGE=photo.jpg"
	@echo
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 12
	@echo
	@echo "Variables:  DATA=<folder of annotated photos>  PRESET=demo|photos|gpu|tiny  IMAGE=<photo>"
	@echo "            VERSION=<number>  LABEL=stable|canary  SPLIT=train|val|all  RUNTIME=auto|docker|local  PYTHON=<a Python 3.9 to 3.11>"

train: ## Train on DATA, or on drawn garments; go on from the last checkpoint.
	$(LAUNCH) train $(if $(DATA),--data "$(DATA)") $(if $(PRESET),--preset $(PRESET))

report: ## Write the latest run's report: curves, errors, overlays; say where it is.
	$(LAUNCH) report

evaluate: ## Say how good the newest version, or VERSION, is on the photos in DATA.
	$(LAUNCH) evaluate --data "$(DATA)" $(if $(VERSION),--version $(VERSION)) $(if $(SPLIT),--split $(SPLIT))

export: ## Export the best checkpoint, prove it, publish it as a new version.
	$(LAUNCH) export

serve: ## Serve the newest version in the background.
	$(LAUNCH) serve

demo: train export serve ## From nothing to a picture: train, export and serve, then show drawn garments with their points.
	$(LAUNCH) demo

predict: ## Ask the running server about IMAGE.
	$(LAUNCH) predict $(if $(IMAGE),"$(IMAGE)")

status: ## Say what runs, which version, since when.
	$(LAUNCH) status

versions: ## List the published versions: score, labels, state in the server.
	$(LAUNCH) versions

promote: ## Move LABEL (stable) to VERSION.
	$(LAUNCH) promote $(VERSION) $(if $(LABEL),--label $(LABEL))

rollback: ## Move LABEL (stable) back; without labels, serve the version before.
	$(LAUNCH) rollback $(if $(LABEL),--label $(LABEL))

verify: ## Replay the golden requests: is what answers what was trained?
	$(LAUNCH) verify $(if $(LABEL),--label $(LABEL))

logs: ## Show what the server wrote.
	$(LAUNCH) logs

gpu-check: ## Can containers use an NVIDIA GPU here, and if not, what is missing?
	$(LAUNCH) gpu-check

stop: ## End the background server.
	$(LAUNCH) stop

clean: ## End the server and remove everything that was made: data, runs, models, .venv.
	$(LAUNCH) clean

test: ## Run the tests.
	@$(PYTHON) -m pipeline.runtime.venv
	$(VENV)/pytest $(ARGS)

soak: ## Run the tests of faults again, for longer and with larger numbers (an hour or so).
	@$(PYTHON) -m pipeline.runtime.venv
	$(VENV)/pytest tests/faults --soak -o timeout=3600 $(ARGS)

lint: ## Check style, types and who imports whom.
	@$(PYTHON) -m pipeline.runtime.venv
	$(VENV)/ruff check .
	$(VENV)/ruff format --check .
	$(VENV)/mypy
	$(VENV)/lint-imports

bench: ## Measure, briefly: all benchmarks, or BENCH=<name>; options of it in ARGS.
	@$(PYTHON) -m pipeline.runtime.venv
	$(VENV)/python -m benchmarks $(or $(BENCH),all) $(or $(ARGS),--quick)

bench-docs: ## Measure at length and write the figures into docs/benchmarks.md.
	@$(PYTHON) -m pipeline.runtime.venv
	$(VENV)/python -m benchmarks all --out docs/benchmarks
	$(VENV)/python -m benchmarks page

format: ## Rewrite the code in the project's style.
	@$(PYTHON) -m pipeline.runtime.venv
	$(VENV)/ruff check --fix .
	$(VENV)/ruff format .

RESOLVE = uv pip compile pyproject.toml --universal --python-version 3.9 --generate-hashes --no-header --no-annotate
lock: ## Resolve pyproject.toml anew: requirements.lock, and of it what each image needs (needs uv).
	$(RESOLVE) --all-extras --upgrade -o requirements.lock
	$(RESOLVE) --upgrade -o requirements/client.lock
	$(RESOLVE) -c requirements.lock --extra server -o requirements/server.lock
	$(RESOLVE) -c requirements.lock --extra pipeline -o requirements/train.lock
	$(RESOLVE) -c requirements.lock --extra pipeline requirements/gpu.in -o requirements/train-gpu.lock
