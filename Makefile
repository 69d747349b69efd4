# Everything a newcomer needs: `make demo` and `make test` set up `.venv` by themselves.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
LIGHT := $(VENV)/.light
READY := $(VENV)/.ready
INPUTS ?= 5000
KILLS ?= 14
EXAMPLES ?= 100
READER ?= annotation JSON
SECONDS ?= 600

.PHONY: demo chromium test lint docs docs-check bench fuzz fuzz-guided fuzz-api soak train-check wheel-check audit sbom clean

$(LIGHT): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e .
	touch $@

$(READY): $(LIGHT)
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	touch $@

demo: $(LIGHT)
	$(BIN)/saiseld demo -o demo

# Pages are tested in Debian's Chromium; where it cannot be installed, those tests are skipped and say so.
INSTALL := DEBIAN_FRONTEND=noninteractive timeout 240 apt-get install -qq --yes --no-install-recommends chromium
chromium:
	@command -v chromium > /dev/null || command -v chromium-browser > /dev/null \
	|| { $(INSTALL) || { timeout 60 apt-get update -qq && $(INSTALL); }; } > /dev/null 2>&1 \
	|| echo "Chromium is not there and could not be installed: tests of pages will be skipped"

test: $(READY) chromium
	# One BLAS thread for each of the two workers: more of them only wait for one another.
	# Bytecode is kept, whatever the shell says: every process of a test would compile the package.
	PYTHONDONTWRITEBYTECODE= OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 \
	$(BIN)/python -m pytest -q -n 2 --dist loadfile

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

docs: $(READY)
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[docs]'
	$(BIN)/mkdocs build --strict

docs-check: $(READY)
	# Every command of the tutorials and the README, in a clean folder, against the output shown.
	OMP_NUM_THREADS=1 $(BIN)/python -m tests.docs_check

bench: $(READY)
	# In under 15 minutes; the table in docs/performance.md is made anew.
	$(BIN)/python -m benchmarks.table

fuzz: $(READY)
	# Damaged files for every reader; INPUTS of each, from a new seed every time.
	OMP_NUM_THREADS=1 $(BIN)/python -m tests.robustness.fuzz --inputs $(INPUTS)
	OMP_NUM_THREADS=1 $(BIN)/python -m tests.robustness.fuzz --inputs $(INPUTS) --structured

fuzz-guided: $(READY)
	# For as long as wished, towards code not yet reached: make fuzz-guided READER='events CSV' SECONDS=3600
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt atheris
	OMP_NUM_THREADS=1 $(BIN)/python -m tests.robustness.guided '$(READER)' -max_total_time=$(SECONDS)

fuzz-api: $(READY)
	# Requests of every kind to `saiseld serve`, by its own description; EXAMPLES of each.
	OMP_NUM_THREADS=1 $(BIN)/python -m tests.robustness.fuzz_api --examples $(EXAMPLES)

soak: $(READY)
	# The slow tests; commands killed, run twice at once and on a full disk; KILLS of each.
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -m slow
	OMP_NUM_THREADS=1 $(BIN)/python -m tests.robustness.soak --kills $(KILLS)
	OMP_NUM_THREADS=1 $(BIN)/python -m tests.robustness.services --kills $(KILLS)

train-check: $(READY)
	# `saiseld train all` on four short recordings, and its weights in use.
	$(BIN)/python -m pytest -q tests/training/all/whole.py

wheel-check:
	# The wheel in an environment of its own: demo, README's Python, and nothing left afterwards.
	$(PYTHON) tests/wheel_check.py

audit: $(LIGHT)
	# Known vulnerabilities of the pinned packages, by the Python Packaging Advisory Database.
	$(BIN)/pip install --quiet --disable-pip-version-check 'pip-audit>=2.9'
	$(BIN)/pip-audit --requirement constraints.txt --no-deps --disable-pip --strict

sbom: $(LIGHT)
	# What is installed, with versions and licences, as a CycloneDX bill of materials.
	$(BIN)/pip install --quiet --disable-pip-version-check 'cyclonedx-bom>=7'
	$(BIN)/cyclonedx-py environment --pyproject pyproject.toml --output-file sbom.json $(BIN)/python

clean:
	rm -rf $(VENV) demo build site sbom.json
