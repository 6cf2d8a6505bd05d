"""Reads CSV whose fields may hold separators and line ends, record by record."""

import collections
import csv
import itertools
import pathlib
from collections.abc import Iterator
from typing import NamedTuple

from tf_autosample.data.formats.content import text_lines

CHUNK = 100_000  # lines at a time


class Record(NamedTuple):
    """One record: the line it starts on, its fields, and what is wrong with it, or None.

    Where something is wrong, the fields are those of the first line without regard to quotes.
    """

    row: int
    fields: list[str]
    fault: str | None


class _Lines:
    """An iterator over lines that takes some back. `taken` are those given out since cleared."""

    def __init__(self, lines: Iterator[str]):
        self.taken: list[str] = []
        self._lines = lines
        self._waiting: collections.deque[str] = collections.deque()

    def __iter__(self) -> "_Lines":
        return self

    def __next__(self) -> str:
        line = self._waiting.popleft() if self._waiting else next(self._lines)
        self.taken.append(line)
        return line + "\n"

    def take_back_all_but_one(self) -> None:
        self._waiting.extendleft(reversed(self.taken[1:]))
        del self.taken[1:]


def read_records(path: pathlib.Path, separator: str) -> Iterator[Record]:
    """Yield the records of a file, without empty lines.

    A quote without its partner spoils the line it stands on and no other: reading goes on with
    the line after it.
    """
    batches = text_lines(path).select("line").collect_batches(chunk_size=CHUNK)
    lines = _Lines(itertools.chain.from_iterable(batch["line"].to_list() for batch in batches))
    reader = csv.reader(lines, delimiter=separator, strict=True)
    row = 1
    while True:
        lines.taken.clear()
        try:
            fields, fault = next(reader), None
        except StopIteration:
            return
        except csv.Error as error:
            lines.take_back_all_but_one()
            fields = lines.taken[0].split(separator)
            fault = (
                f"the line must be CSV. Received: {lines.taken[0][:60]!r}: {error}. A quote has no "
                'partner, or one inside a field is not doubled ("" and not \\").'
            )
        if fields:
            yield Record(row, fields, fault)
        row += len(lines.taken)
