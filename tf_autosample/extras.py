"""What `pip install tf_autosample` leaves out, and the sentence that says how to add it."""

from collections.abc import Iterator
from contextlib import contextmanager

# By extra of setup.py: what it is for, and its modules, which are called like their packages.
EXTRAS = {
    "cli": ("The command line", ("rich", "typer")),
    "files": ("Reading interactions from files", ("polars",)),
    "report": ("A report", ("jinja2", "matplotlib", "plotext")),
}


class MissingExtra(ModuleNotFoundError):
    """A module is not installed that one of the extras brings."""


@contextmanager
def explain_missing() -> Iterator[None]:
    """Says which extra to install where an import fails for want of one.

    Around imports, or as the decorator of a function that imports somewhere below it:

    >>> @explain_missing()
    ... def read():
    ...     raise ModuleNotFoundError(name="polars")
    >>> read()
    Traceback (most recent call last):
    ...
    tf_autosample.extras.MissingExtra: Reading interactions from files needs polars, which is not \
installed. Run: pip install 'tf_autosample[files]'

    Raises:
        MissingExtra: If a module of an extra is not there. Any other error goes through.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        for extra, (purpose, modules) in EXTRAS.items():
            if error.name in modules and not isinstance(error, MissingExtra):
                raise MissingExtra(
                    f"{purpose} needs {error.name}, which is not installed. "
                    f"Run: pip install 'tf_autosample[{extra}]'",
                    name=error.name,
                ) from error
        raise
