# Every target sets up what it needs; the second time that takes a fraction of a second.
PYTHON ?= python3
VENV := .venv/bin
PROPERTIES = $(shell grep -rl --include=test_*.py hypothesis tests)
export PATH := $(CURDIR)/.venv/bin:$(PATH)

.DEFAULT_GOAL := help
.PHONY: help setup infra demo test lint audit policies check fmt docs graphs pictures lock bench bench-worker \
	bench-status bench-plot bench-tiles bench-split chaos faults chaos-table clients kernels bundle configure \
	pulumi-cli can-rehearse rehearsal fuzz soak properties

help:  ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 14

setup:  ## make .venv with everything that batchimg needs
	@$(PYTHON) tools/setup.py

infra: setup  ## add what the program in pulumi/ needs (400 MB): its tests want it, users do not
	@$(PYTHON) tools/setup.py --infra

demo: setup  ## run the sample images through batchimg and show the gallery
	@$(VENV)/python tools/demo.py

test: infra  ## the whole test suite
	@$(VENV)/python -m pytest -n 3 --dist loadfile

properties: setup  ## the tests of properties with new random examples; TIMES=5 for more of them
	@for time in $$(seq $(or $(TIMES),1)); do \
		$(VENV)/python -m pytest -n 2 --dist loadfile --hypothesis-profile=search $(PROPERTIES) || exit 1; done

lint: infra  ## format, lint, types, import rules, secrets
	@$(VENV)/ruff format --check .
	@$(VENV)/ruff check .
	@$(VENV)/mypy
	@cd pulumi && ../$(VENV)/mypy .
	@$(VENV)/lint-imports
	@$(VENV)/python tools/docs.py --check
	@$(VENV)/python tools/leaks.py

check: lint audit test  ## what must hold before a change lands

fmt: setup  ## format the code and mend what the linter can mend
	@$(VENV)/ruff check --fix .
	@$(VENV)/ruff format .

bench: setup  ## all benchmarks, as tables; PHOTOS=DIR for your own photos
	@$(VENV)/python benchmarks/run.py $(if $(PHOTOS),--photos $(PHOTOS))
	@$(VENV)/python benchmarks/worker.py $(if $(PHOTOS),--photos $(PHOTOS))
	@$(VENV)/python benchmarks/data_path.py
	@$(VENV)/python benchmarks/emulator.py --quick

bench-worker: setup  ## the worker beside scikit-image, Pillow, OpenCV and pyvips; PHOTOS=DIR for your own photos
	@$(VENV)/python benchmarks/worker.py $(if $(PHOTOS),--photos $(PHOTOS))

chaos: setup  ## 200 seeded runs while things break (half an hour); RUNS=50, SEED=17 for one, KIND=killed for some
	@PYTHONPATH=tests:tests/acceptance $(VENV)/python -m chaos.run $(if $(RUNS),--runs $(RUNS)) \
		$(if $(SEED),--seed $(SEED)) $(if $(KIND),--kind "$(KIND)") $(if $(JSON),--json $(JSON))

faults: setup  ## the main job with each fault of the Batch service: the suite has every second one
	@BATCHIMG_ALL_FAULTS=1 $(VENV)/python -m pytest tests/acceptance/test_faults.py

chaos-table: setup  ## write the table of docs/reliability.md from JSON=chaos.json of `make chaos`
	@PYTHONPATH=tests:tests/acceptance $(VENV)/python -m chaos.report $(JSON)

clients: setup  ## other people's Batch clients against the emulator, as a table; ONLY=java for some of them
	@$(VENV)/python tests/clients/run.py $(ONLY)

bench-status: setup  ## `batchimg status` of a run of 1,000,000 images
	@$(VENV)/python benchmarks/status.py

bench-plot: setup  ## draw the tables of docs/benchmarks.md
	@$(VENV)/python benchmarks/plot.py

fuzz: setup  ## 10,000 damaged files through the worker's data path; FILES=1000 SEED=2, ONLY=123 for one of them
	@$(VENV)/python tests/fuzz/hunt.py $(if $(FILES),--files $(FILES)) $(if $(SEED),--seed $(SEED)) $(if $(ONLY),--only $(ONLY))

soak: setup  ## 100,000 tiny images through two nodes of a local stack, memory of every process; IMAGES=5000 for fewer
	@PYTHONPATH=tests/acceptance $(VENV)/python tests/soak/soak.py $(if $(IMAGES),--images $(IMAGES))

bench-tiles: setup  ## one huge image in tiles beside pyvips; SIDE=4000 for a smaller one
	@$(VENV)/python benchmarks/tiles.py $(if $(SIDE),--side $(SIDE))

bench-split: setup  ## one huge TIFF over several tasks: bytes fetched and seconds; SIDE=6000 for a smaller one
	@$(VENV)/python benchmarks/split.py $(if $(SIDE),--side $(SIDE))

kernels: setup  ## compile the worker's C kernels, after a change of them
	@$(VENV)/python tools/native.py

docs: setup  ## write the pages that come out of the code
	@$(VENV)/python tools/docs.py

graphs: infra  ## write the graphs of pulumi/ and the picture of its scaling anew, to be looked at
	@BATCHIMG_WRITE_GRAPHS=1 $(VENV)/python -m pytest tests/infra/test_graph.py
	@$(VENV)/python tools/infra/autoscale_curves.py

audit: setup  ## known vulnerabilities of what is locked; STRICT=1 fails where nobody can be asked, as behind a mirror
	@$(VENV)/python tools/audit.py $(if $(STRICT),--strict)

policies: infra  ## checkov over what pulumi/ makes (300 MB, once); what is not asked for has a reason
	@$(VENV)/python tools/infra/policies.py

bundle: setup  ## the worker for nodes that install it from blob storage: a wheel and its locked dependencies
	@$(VENV)/python tools/bundle.py

configure: bundle  ## write what `pulumi up` made into batchimg.toml, and send the worker's bundle if nodes install one
	@$(VENV)/python tools/bundle.py --configure $(if $(STACK),--stack $(STACK))

pulumi-cli:  ## the Pulumi CLI from its Go modules, where there is none (minutes, once)
	@$(PYTHON) tools/pulumi-cli

can-rehearse:
	@$(PYTHON) tools/pulumi-cli --check

rehearsal: can-rehearse infra  ## pulumi up, submit, pulumi destroy on this machine, without Azure
	@$(VENV)/python tools/infra/rehearse.py

pictures: setup  ## draw the pictures of the README anew, after make demo
	@$(VENV)/python tools/pictures.py

UV_COMPILE := uv pip compile -q --upgrade --universal --python-version 3.11 --generate-hashes --no-header --no-annotate
lock:  ## write the locked requirements anew (needs uv)
	$(UV_COMPILE) pyproject.toml -o requirements/runtime.txt
	$(UV_COMPILE) pyproject.toml --group dev -o requirements/dev.txt
	sed 's/ *--hash=.*//; s/ \\$$//' requirements/dev.txt > build-constraints.txt
	$(UV_COMPILE) --group pyproject.toml:worker -c build-constraints.txt -o requirements/worker.txt
	$(UV_COMPILE) --group pyproject.toml:infra -c build-constraints.txt -o pulumi/requirements.txt
	$(UV_COMPILE) --group pyproject.toml:audit -o requirements/audit.txt
	$(UV_COMPILE) --group pyproject.toml:policies -o requirements/policies.txt
	rm build-constraints.txt
