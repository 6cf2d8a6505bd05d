"""Reads adjacency text, a user and its items per line, and refuses what only looks like it."""

import pathlib
from typing import TYPE_CHECKING

from tf_autosample.data.formats.content import text_lines
from tf_autosample.data.interactions import DataError

if TYPE_CHECKING:
    import polars as pl

# Marks of lists, comments and separators, which no id begins or ends with.
PUNCTUATED = r"""^[\[({"].*|.*[,;:\])}"]$|^[#%|=>-]+$|::"""
# An id with a count, a time, a fraction, a date. They may be ids where all words are like this.
VALUE = (
    r"^(?:\d+(?::\d*\.?\d+)+|[+-]?\d*\.\d*[1-9]\d*(?:[eE][+-]?\d+)?"
    r"|\d{4}-\d\d?-\d\d?(?:T.*)?|\d\d?/\d\d?/\d{2,4})$"
)
HEADER = r"(?i)^(?:user|visitor|customer|session|client|member|reviewer)s?[_-]?(?:id)?(?::\w+)?$"
INTEGER = r"^-?\d+$"
TABLE_SHARE = 0.95  # of the lines; a table may have some that are bad


def read_adjacency(path: pathlib.Path) -> "pl.DataFrame":
    """Return `row`, `fault`, `user` and `item` from lines of a user and its items.

    Raises:
        DataError: If the file is a table.
    """
    import polars as pl

    words = pl.col("words")
    lines = (
        text_lines(path)
        .with_columns(words=pl.col("line").str.extract_all(r"\S+"))
        .filter(words.list.len() > 0)
        .with_columns(
            user=words.list.first(),
            width=words.list.len(),
            cut=pl.col("line").str.contains("\r", literal=True),
            marked=words.list.eval(pl.element().str.contains(PUNCTUATED)).list.any(),
            values=words.list.eval(pl.element().str.contains(VALUE)).list.sum(),
        )
        .collect(engine="streaming")
    )
    _refuse_table(path, lines)
    faults = lines.select(
        pl.when("cut")
        .then(pl.lit("the line must end in LF or CR LF. Received: a CR alone within it."))
        .when(pl.lit(_is_header(lines)) & (pl.int_range(pl.len()) == 0))
        .then(_not_ids("the words of a header"))
        .when(pl.col("marked") | pl.col("values").is_between(1, pl.col("width") - 1))
        .then(_not_ids("words that are no ids"))
        .alias("fault")
    )
    # A user without items keeps a row, with no item, so that it is seen as a bad one.
    items = pl.when(pl.col("fault").is_null()).then(words.list.slice(1))
    return (
        lines.with_columns(faults)
        .select("row", "fault", "user", items.alias("item"))
        .explode("item", empty_as_null=True)
    )


def _not_ids(found: str) -> "pl.Expr":
    import polars as pl

    return pl.format(
        "the line must hold a user and its items, ids without separators or values (adjacency "
        "text). Received: {}, in '{}'. If the file is a table, pass format=\"csv\" and "
        "separator= what stands between its fields.",
        pl.lit(found),
        pl.col("line").str.slice(0, 60),
    )


def _is_header(lines: "pl.DataFrame") -> bool:
    """Return whether no word of the first line is an integer though every other user is one."""
    import polars as pl

    others = lines["user"][1:]
    named = lines.head(1).select(pl.col("user").str.contains(HEADER)).item()
    numbers = lines["words"][0].str.contains(INTEGER).any()
    return named or (len(others) > 0 and not numbers and others.str.contains(INTEGER).all())


def _refuse_table(path: pathlib.Path, lines: "pl.DataFrame") -> None:
    """Refuse more than two words, the same number on nearly every line, for users that repeat."""
    import polars as pl

    if not len(lines):
        return
    width = lines["width"].mode().max()
    alike = lines.filter(pl.col("width") == width)
    if width < 3 or len(alike) < TABLE_SHARE * len(lines) or alike["user"].is_unique().all():
        return
    line = alike["line"][0]
    cure = "Put one separator between the fields (`tr -s ' '`), then read it with"
    for arguments, separator in (('format="tsv"', "\t"), ('format="csv", separator=" "', " ")):
        if len(line.split(separator)) == width:
            cure = f"Pass {arguments}, and"
    if _is_header(lines):
        cure += " the names of its header as user= and item=."
    else:
        cure += f' columns=["user_id", "item_id", ...], a name for each of the {width} fields.'
    raise DataError(
        f"{path} must be adjacency text, a line per user with its items. Received: {width} words "
        f"on {len(alike)} of {len(lines)} lines while users repeat, as in a table: {line[:60]!r}. "
        f"{cure}"
    )
