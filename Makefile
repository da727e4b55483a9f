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

# Faults at every system call, where `make test` takes a part of them, and state machines with many more examples. With
# SWEEP=100 so many, or about so many, of each: faults of a command, histories of a machine that would run fewer.
SWEEP ?= all
sweep: setup
	OTPKEEP_SWEEP=$(SWEEP) $(BIN)/pytest -n $(WORKERS) --dist loadgroup -m sweep

# Looks for bytes that a reader neither takes nor refuses: make fuzz SECONDS=600 JOBS=2 TARGETS="run import-aegis"
SECONDS ?= 60
JOBS ?= 1
TARGETS ?=
fuzz: setup
	$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[fuzz]'
	PYTHONPATH=tests $(BIN)/python -m fuzz.run --seconds $(SECONDS) --jobs $(JOBS) $(TARGETS)

bench: setup
	for subject in add code fold history others arrival watch year; do PYTHONPATH=tests $(BIN)/python -m bench.bench_$$subject || exit 1; done

# Needs some ten minutes and 2 GB of disk; tells where a curve bends that `make bench` ends before.
bench-million: setup
	PYTHONPATH=tests $(BIN)/python -m bench.bench_history 1 1000 1000,10000,100000,1000000

vectors: setup
	$(BIN)/python protocol/vectors/make_vectors.py

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .fuzz
