#!/bin/sh
# Installs the peers into a virtual environment of their own:
#
#     sh benchmarks/peers/install.sh DIRECTORY
#
# PYTHON names the interpreter (Python 3.11; that of the shell unless set). Where the package index
# offers a build of torch without CUDA, that one is enough: all figures are of the CPU.
set -eu
if [ $# -ne 1 ]; then
    echo "install.sh takes one argument, the directory of the environment. Received: $#." >&2
    exit 2
fi
"${PYTHON:-python3}" -m venv "$1"
"$1/bin/pip" install --quiet --requirement "$(dirname "$0")/requirements.txt"
"$1/bin/pip" list 2>/dev/null | grep -iE '^(recbole|torch|implicit|numpy|scipy|pandas) '
