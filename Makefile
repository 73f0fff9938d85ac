# make run     set up a virtual environment and run the main job on the built-in defaults
# make test    set up and run the tests, but for those that take more than ten seconds each
# make slow    set up and run these
# make check   format, lint, strict types, import direction, tests
# make bench   all benchmarks, as tables of ratios

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt

export HF_HUB_OFFLINE ?= 1
export TOKENIZERS_PARALLELISM ?= false

# files of tests side by side, a core each: with more threads than cores they would wait for each other
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --maxprocesses 4 --dist loadfile

.PHONY: run test slow check bench clean

run: $(VENV)/ready
	$(BIN)/mspgt run plugins=cka,probe,attn

test: $(VENV)/ready-dev
	$(PYTEST) -m "not slow"

slow: $(VENV)/ready-dev
	$(PYTEST) -m slow

check: $(VENV)/ready-dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(PYTEST)

# the packages that CKA is compared with stand apart, so that they cannot change what is tested
bench: $(VENV)/ready-dev
	$(PIP) --no-deps --upgrade --target $(VENV)/compared torch_cka==0.21 ckatorch==1.0.3
	set -e; for script in $(filter-out benchmarks/train_reference.py benchmarks/reference_recipe.py benchmarks/gallery.py benchmarks/drift.py benchmarks/drift_multiples.py benchmarks/same_numbers.py benchmarks/same_numbers_jobs.py,$(wildcard benchmarks/*.py)); do PYTHONPATH=$(VENV)/compared $(BIN)/python $$script; done

$(VENV)/bin/python:
	$(PYTHON) -c 'import sys; sys.exit("mspgt needs Python 3.11 or newer: make PYTHON=python3.12") if sys.version_info < (3, 11) else None'
	$(PYTHON) -m venv $(VENV)

# torch first and alone: the constraint picks one build, and nothing after it may pick another
$(VENV)/torch: constraints.txt | $(VENV)/bin/python
	$(PIP) torch
	touch $@

$(VENV)/ready: pyproject.toml $(VENV)/torch
	$(PIP) -e .
	touch $@

$(VENV)/ready-dev: $(VENV)/ready
	$(PIP) -e '.[dev]'
	touch $@

clean:
	rm -rf $(VENV) build *.egg-info
