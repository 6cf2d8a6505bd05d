"""Files that appear whole or not at all."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def replacing(path: str | os.PathLike) -> Iterator[Path]:
    """Gives a path to write to, beside `path`, and renames it to `path` at the end of the block.

    Should the block fail, what it wrote is removed and the file that was there stays. The name
    given begins with `.tmp-`, ends like that of `path` (some writers look at the suffix) and is
    this process' own, so that two may write the same file.

    >>> with replacing("ids.json") as staged:  # doctest: +SKIP
    ...     staged.write_text("{}")
    """
    path = Path(path)
    staged = path.with_name(f".tmp-{os.getpid()}-{path.name}")
    try:
        yield staged
        os.replace(staged, path)
    finally:
        staged.unlink(missing_ok=True)
