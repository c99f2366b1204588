# Every target sets up what it needs; the second time that takes a fraction of a second.
PYTHON ?= python3
VENV := .venv/bin
export PATH := $(CURDIR)/.venv/bin:$(PATH)

.DEFAULT_GOAL := help
.PHONY: help setup demo test lint check fmt docs pictures lock bench bench-worker bench-status bench-plot clients kernels

help:  ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 14

setup:  ## make .venv with everything that batchimg needs
	@$(PYTHON) tools/setup.py

demo: setup  ## run the sample images through batchimg and show the gallery
	@$(VENV)/python tools/demo.py

test: setup  ## the whole test suite
	@$(VENV)/python -m pytest -n 2 --dist loadfile

lint: setup  ## format, lint, types and import rules
	@$(VENV)/ruff format --check .
	@$(VENV)/ruff check .
	@$(VENV)/mypy
	@$(VENV)/lint-imports
	@$(VENV)/python tools/docs.py --check

check: lint test  ## what must hold before a change lands

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

clients: setup  ## other people's Batch clients against the emulator, as a table; ONLY=java for some of them
	@$(VENV)/python tests/clients/run.py $(ONLY)

bench-status: setup  ## `batchimg status` of a run of 1,000,000 images
	@$(VENV)/python benchmarks/status.py

bench-plot: setup  ## draw the tables of docs/benchmarks.md
	@$(VENV)/python benchmarks/plot.py

kernels: setup  ## compile the worker's C kernels, after a change of them
	@$(VENV)/python tools/native.py

docs: setup  ## write the pages that come out of the code
	@$(VENV)/python tools/docs.py

pictures: setup  ## draw the pictures of the README anew, after make demo
	@$(VENV)/python tools/pictures.py

lock:  ## write requirements/*.txt anew (needs uv)
	uv pip compile -q --upgrade --universal --python-version 3.11 --generate-hashes --no-header --no-annotate pyproject.toml -o requirements/runtime.txt
	uv pip compile -q --upgrade --universal --python-version 3.11 --generate-hashes --no-header --no-annotate pyproject.toml --group dev -o requirements/dev.txt
