# Every target builds the environment it needs. Nothing else has to be typed.
# With the environment built and the recordings fetched, no target needs a network.

SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMPS := .make

.DEFAULT_GOAL := help
.PHONY: help demo test lint format typecheck bench screenshots clean environment recordings browser

help:  ## Print what can be made.
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

demo: recordings  ## Rank the built-in models on real speech, and say how to open the leaderboard.
	$(BIN)/audiometry data prepare asterisk-en-telephone non-speech
	$(BIN)/audiometry run --config demo.toml
	@echo
	@echo "Open the leaderboard with:  $(BIN)/audiometry serve"

test: lint typecheck recordings browser  ## Pass every check: lint, types, tests, coverage.
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder --cov --cov-report=term --durations=15
	$(BIN)/coverage report --include='benchmark/*,tasks/*' --fail-under=95 > /dev/null || \
		{ echo "coverage of benchmark and tasks is below 95 %"; exit 1; }

lint: environment  ## Check style, and that every pinned package has the hashes of its files.
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/python .ci/lock.py check

format: environment  ## Put the code in order.
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

typecheck: environment  ## Check types.
	$(BIN)/mypy

screenshots: recordings browser  ## Photograph every page of the leaderboard, after a small run, into docs/screenshots.
	$(BIN)/audiometry run --config .ci/screenshots.toml
	$(BIN)/audiometry data build spoof-embedded
	$(BIN)/audiometry run -m lfcc-lcnn,envelope-trees,shortcut -t spoof-embedded -L 300
	$(BIN)/python .ci/screenshots.py docs/screenshots

bench: recordings  ## Measure every claim of speed, side by side with its peer.
	@for script in benchmarks/*.py; do echo "== $$script"; $(BIN)/python "$$script" || exit 1; done

clean:  ## Remove what was built here (recordings and results stay).
	rm -rf $(VENV) $(STAMPS) build dist *.egg-info .coverage* .mypy_cache .ruff_cache .pytest_cache .hypothesis

environment: $(STAMPS)/environment

$(STAMPS)/environment: pyproject.toml constraints.txt
	@mkdir -p $(STAMPS)
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Python 3.11 or newer is needed; name one with: make PYTHON=python3.11"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt pip setuptools wheel
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --no-build-isolation --editable '.[dev]'
	@# resemblyzer asks for webrtcvad, which must be compiled, and for typing, which Python has: both are left out
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --no-deps resemblyzer webrtcvad-wheels
	@touch $@

recordings: environment  ## Fetch the English recordings that demo and tests use.
	$(BIN)/audiometry data prepare asterisk-en

browser:  ## Install Chromium for the page tests, through the machine's package client.
	@if command -v chromium > /dev/null || command -v chromium-browser > /dev/null || command -v google-chrome > /dev/null; then :; \
	elif command -v apt-get > /dev/null && [ "$$(id -u)" = 0 ]; then \
		echo "installing Chromium for the page tests: apt-get install chromium"; \
		apt-get update -qq && apt-get install -y -qq chromium > /dev/null; \
	else echo "the page tests need Chromium; install it, for example: sudo apt-get install chromium"; exit 1; fi
