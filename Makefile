PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test nightly lint bazel clean

# The whole path: data, search, training, evaluation, export, server, queries.
demo: .venv/.installed
	TF_CPU_ALLOCATOR_USE_BFC=1 $(BIN)/autosample demo

test: .venv/.installed
	$(BIN)/python -m pytest -n 2 --dist loadfile

# All tests, the slow ones too. Coverage makes them a quarter slower, so that it is counted here alone.
nightly: .venv/.installed
	$(BIN)/python -m pytest -n 2 --dist loadfile -m "" --cov --cov-report term

lint: .venv/.installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

# Needs Debian's bazel-bootstrap. TESTS="test_interactions test_metrics" runs only these; fast_tests is a group.
bazel: .venv/.installed
	tools/bazel/run $(addprefix //:,$(TESTS))

clean:
	rm -rf build dist *.egg-info .pytest_cache .ruff_cache .coverage*
	find . -name __pycache__ -not -path './.venv/*' -prune -exec rm -rf {} +

.venv/.installed: setup.py pyproject.toml tools/constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=python3.11 ...")'
	@echo "Installing into .venv (TensorFlow is large: minutes on a slow line)"
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install -q --disable-pip-version-check -c tools/constraints.txt -e '.[dev]'
	@touch $@
