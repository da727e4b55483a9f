# Everything a fresh machine with Python 3.11, pip and make needs.
VENV ?= .venv
PYTHON ?= python3
BIN := $(VENV)/bin
# One more than there are cores: many tests wait for a daemon.
WORKERS ?= $(shell $(PYTHON) -c "import os; print(os.cpu_count() + 1)")

.PHONY: setup demo test lint unit sweep fuzz bench vectors clean

setup: $(BIN)/otpkeep

$(BIN)/otpkeep: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@

demo: setup
	$(BIN)/python tests/system/demo.py

test: lint unit

lint: setup
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/mypy --platform win32
	$(BIN)/lint-imports

unit: setup
	$(BIN)/pytest -n $(WORKERS) --dist loadgroup

# Kills at every system call, where `make test` takes a part of them.
sweep: setup
	OTPKEEP_SWEEP=all $(BIN)/pytest -n $(WORKERS) --dist loadgroup tests/system

# Looks for bytes that a reader neither takes nor refuses: make fuzz SECONDS=600 JOBS=2 TARGETS="run import-aegis"
SECONDS ?= 60
JOBS ?= 1
TARGETS ?=
fuzz: setup
	$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[fuzz]'
	PYTHONPATH=tests $(BIN)/python -m fuzz.run --seconds $(SECONDS) --jobs $(JOBS) $(TARGETS)

bench: setup
	for subject in add code fold recovery arrival watch year; do PYTHONPATH=tests $(BIN)/python -m bench.bench_$$subject || exit 1; done

vectors: setup
	$(BIN)/python protocol/vectors/make_vectors.py

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .fuzz
