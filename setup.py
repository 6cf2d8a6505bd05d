"""Metadata of the distribution; build and tool settings stand in pyproject.toml."""

import re
from pathlib import Path

from setuptools import find_packages, setup

HERE = Path(__file__).resolve().parent
# Read, not imported: the build environment has none of the library's dependencies.
VERSION = re.search(
    r'^__version__ = "(.+)"$', (HERE / "tf_autosample" / "__init__.py").read_text("utf-8"), re.M
)[1]

# tf_autosample/extras.py names the same packages, for whoever lacks one.
FILES = ["polars>=2,<3"]
REPORT = ["jinja2", "matplotlib", "plotext>=5.3,<6"]
CLI = ["rich", "typer", *FILES, *REPORT]  # every command works

setup(
    name="tf_autosample",
    version=VERSION,
    description="Automatic negative sampling for retrieval models in TensorFlow and Keras",
    long_description=(HERE / "README.md").read_text("utf-8"),
    long_description_content_type="text/markdown",
    license_expression="Apache-2.0",
    license_files=["LICENSE"],
    keywords=[
        "negative sampling",
        "recommender systems",
        "retrieval",
        "implicit feedback",
        "collaborative filtering",
        "tensorflow",
        "keras",
    ],
    python_requires=">=3.11",
    packages=find_packages(include=["tf_autosample", "tf_autosample.*"]),
    package_data={"": ["*"]},  # all that stands in a package: py.typed, protocol files, templates
    install_requires=[
        "grpcio",
        "httpx",
        "keras>=3.14,<4",
        "lazy-loader",
        "numpy>=2",
        "protobuf>=5.28.3",
        "scipy",
        "tensorflow>=2.20,<2.22",
        "tensorflow-serving-api>=2.20,<2.22",
    ],
    extras_require={
        "cli": CLI,
        "files": FILES,
        "report": REPORT,
        # setuptools builds the wheel inside the tests, without a network.
        "dev": [
            *CLI,
            "build",
            "pre-commit",
            "pytest",
            "pytest-cov",
            "pytest-xdist",
            "ruff",
            "setuptools>=77",
        ],
    },
    entry_points={"console_scripts": ["autosample = tf_autosample.cli:main"]},
    classifiers=[
        "Development Status :: 3 - Alpha",
        "Intended Audience :: Developers",
        "Intended Audience :: Science/Research",
        "Programming Language :: Python :: 3",
        "Programming Language :: Python :: 3.11",
        "Programming Language :: Python :: 3.12",
        "Programming Language :: Python :: 3.13",
        "Topic :: Scientific/Engineering :: Artificial Intelligence",
        "Typing :: Typed",
    ],
)
