# make demo    learn, score, index and search, and show the result       (sets up .venv first)
# make test    everything that has to hold before a change goes in       (sets up .venv first)
#
# Packages are installed once under VIREID_ENVS (default: ~/.cache/vireid/envs) and shared by clones.

PYTHON ?= python3
RUN := .venv/bin/python -m
# Hundreds of processes are started by tests: what one of them compiled is read by the others.
export PYTHONDONTWRITEBYTECODE =

.PHONY: help setup demo test lint format types docs pytest test-milvus fuzz clean

help:           ## what can be made
	@grep -E '^[a-z-]+: .*##' Makefile | sed -E 's/^([a-z-]+):.*## */  make \1\t/' | expand -t 16

setup:          ## .venv with everything, vireid itself editable
	@$(PYTHON) scripts/make_venv.py

demo: setup     ## learn a little, score it, search with it: demo/report.png
	@$(RUN) scripts.demo

test: lint pytest  ## all checks; mypy is one of the tests, so that it runs beside others

lint: setup     ## style and import rules
	$(RUN) ruff check
	$(RUN) ruff format --check
	.venv/bin/lint-imports

format: setup   ## put the style right
	$(RUN) ruff check --fix
	$(RUN) ruff format

types: setup    ## mypy, strict
	$(RUN) mypy

pytest: setup   ## the tests alone; one file: make pytest ONLY=tests/test_recipe.py
	$(RUN) pytest --numprocesses 4 --dist worksteal $(ONLY)

test-milvus: setup  ## galleries on a Milvus server, which it installs, starts and ends
	@$(RUN) scripts.milvus_server -- $(RUN) pytest tests/gallery/test_store_contract.py \
		tests/gallery/test_milvus.py tests/service/test_on_milvus.py -k "milvus" $(ONLY)

fuzz: setup     ## parsers on random bytes, what fails is kept: make fuzz MINUTES=10
	$(RUN) tests.fuzz --minutes $(or $(MINUTES),5)

docs: setup     ## check every link and every code block in README.md and docs/
	$(RUN) pytest tests/test_docs.py

clean:          ## throw away what can be made again (packages under VIREID_ENVS stay)
	rm -rf .venv build dist demo .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	find src tests benchmarks scripts -name __pycache__ -type d -prune -exec rm -rf {} +
