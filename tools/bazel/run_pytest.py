"""Main program of every py_test: gives its arguments to pytest and exits as pytest does."""

import sys

import pytest

if __name__ == "__main__":
    sys.exit(pytest.main([*sys.argv[1:], "-p", "no:cacheprovider"]))
