# make demo: a first comparison in a few minutes. make test: every check that a change must pass.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed

.PHONY: demo docs test check lint types install clean

demo: install
	$(BIN)/longlag sweep quickstart
	$(BIN)/longlag report quickstart
	@echo
	@echo "The report:    reports/quickstart/index.html"
	@echo "Every run:     $(BIN)/longlag ui"
	@echo "Your own:      $(BIN)/longlag --help"

# On every core, up to eight. The tests of a file share what is slow to make, and stay together.
test: install
	$(BIN)/python -m pytest -n logical --maxprocesses 8 --dist loadfile --no-loadscope-reorder

check: install lint types test

docs: install
	$(BIN)/python -m study.commands.cell_page > docs/cells.md
	$(BIN)/python -m study.commands.task_page > docs/tasks.md
	$(BIN)/python -m study.commands.findings_page

lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: install
	$(BIN)/mypy

install: $(INSTALLED)

# Reinstalled when what is to be installed has changed. venv makes a new environment or keeps one.
$(INSTALLED): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "longlag needs Python 3.11 or newer; try: make PYTHON=python3.11 $(MAKECMDGOALS)"; exit 2; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e ".[test]" -c constraints.txt
	@touch $@

clean:
	rm -rf $(VENV) build *.egg-info .pytest_cache .mypy_cache .ruff_cache
