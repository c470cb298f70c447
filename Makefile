# Everything runs from a fresh checkout with Python >= 3.11 and make. Targets: README, "make" section.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
UV_VERSION := 0.13.9
STAMP := $(VENV)/.installed

.DEFAULT_GOAL := help
.PHONY: help install demo test run check chaos bench lock kafka kafka-needs

help:
	@echo "make demo     the daemon on the embedded stream, fed by a simulator"
	@echo "make test     the test suite"
	@echo "make run      the daemon alone, on config.yaml"
	@echo "make install  only create $(VENV) and install everything there"
	@echo "make check    formatter, linter, types, import contracts, docs in step with code"
	@echo "make chaos    the long fault rounds"
	@echo "make kafka    an Apache Kafka broker to play with (PORT=9092)"
	@echo "make bench    what we claim, measured"
	@echo "make lock     resolve requirements.lock anew from pyproject.toml"

install: $(STAMP)

$(BIN)/uv:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "retaind needs Python >= 3.11; $(PYTHON) is $$($(PYTHON) --version 2>&1). Try: make PYTHON=python3.12 install" >&2; exit 2; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)

# The stamp is older than what it was made from whenever either file changes. Bytecode: a process that may not write it
# (a container's, one with PYTHONDONTWRITEBYTECODE) would compile some thousand files of torch's at each start.
$(STAMP): requirements.lock pyproject.toml | $(BIN)/uv
	@echo "Installing into $(VENV): about 3.3 GB to fetch, 7.3 GB on disk (torch with its CUDA libraries); less where uv has them cached."
	VIRTUAL_ENV=$(VENV) $(BIN)/uv pip sync --compile-bytecode --require-hashes requirements.lock
	VIRTUAL_ENV=$(VENV) $(BIN)/uv pip install --quiet --no-deps -e .
	@touch $(STAMP)

# Nothing that is measured or tested may reach a network, a tracker, or more than one core by accident.
test check chaos bench demo: export HF_HUB_OFFLINE = 1
test check chaos bench demo: export WANDB_MODE = disabled
test check chaos bench demo: export OMP_NUM_THREADS = 1

# Only a CI's machine installs anything: the tests skip what needs a broker where there is none, but not under CI=true.
kafka-needs:
	@sh tests/kafka/needs.sh

ifeq ($(CI),true)
test chaos: kafka-needs
endif

PORT ?= 9092
kafka: install kafka-needs
	@$(BIN)/python -m tests.kafka.play --port $(PORT)

test: install
	$(BIN)/pytest -n 2 --dist loadfile --no-loadscope-reorder

chaos: install
	$(BIN)/pytest -m chaos -n 2 --dist loadfile --no-loadscope-reorder --timeout=1800

check: install
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m daemon.config.reference --check docs/reference/config.md

run: install
	$(BIN)/retaind run --config config.yaml

demo: install
	$(BIN)/retaind demo

bench: install
	$(BIN)/python -m tests.kafka.during $(BIN)/retaind bench

lock: | $(BIN)/uv
	UV_CUSTOM_COMPILE_COMMAND="make lock" $(BIN)/uv pip compile pyproject.toml --group dev --quiet --python-version 3.11 \
	  --generate-hashes --no-emit-index-url --output-file requirements.lock
