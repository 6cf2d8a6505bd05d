"""Imports every module of the installed library and prints how many there are."""

import importlib
import pkgutil

import tf_autosample


def fail(name: str) -> None:
    """Stop at a package that cannot be imported; walk_packages would skip it."""
    raise ImportError(f"{name} cannot be imported")


names = [
    module.name
    for module in pkgutil.walk_packages(tf_autosample.__path__, "tf_autosample.", onerror=fail)
]
for name in names:
    importlib.import_module(name)
assert {"tf_autosample.export", "tf_autosample.serving", "tf_autosample.cli"} <= set(names), names
print(f"{len(names)} modules of {tf_autosample.__path__[0]} import")
