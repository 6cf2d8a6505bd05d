"""Reads points in time: dates and date-times, and numbers in the unit that their size tells."""

from typing import TYPE_CHECKING

from tf_autosample.data.splitting import in_words

if TYPE_CHECKING:
    import polars as pl

UNITS = {"seconds": 1, "milliseconds": 10**3, "microseconds": 10**6, "nanoseconds": 10**9}
# In each finer unit, times from 1973 to 2100 lie between 1e8 and 4.2e9 times the unit; no two of
# these ranges meet. Numbers between them are of no unit that is known.
EARLIEST, LATEST = 10**8, 42 * 10**8
SECONDS = 10**11  # below it, a number is of seconds, counted from 1970 or anywhere
ISO = (
    r"^\s*(\d{4}-\d{2}-\d{2})(?:[T ](\d{2}:\d{2})(:\d{2})?(?:[.,]\d+)?"
    r"\s?([Zz]|UTC|[+-](?:0\d|1[0-4])(?::?[0-5]\d)?)?)?\s*$"
)
# Dates as whole numbers: their layout, and the first and the last of them.
COMPACT = {
    "%Y%m%d": (19_000_101, 20_991_231),
    "%Y%m%d%H%M%S": (19_000_101_000_000, 20_991_231_235_959),
}


def parse_times(times: "pl.Series") -> tuple["pl.Series", str]:
    """Return whole seconds, int64, null where there is none, and how they were written.

    The kind of most values is that of the column; a value of another kind is none. Small numbers
    (before 1973) go with any unit. Fractions of a second are cut off. Times without a zone are
    UTC.

    Args:
        times: dates, date-times, numbers or text.

    Returns:
        Series, and a word of `UNITS`, or "dates".
    """
    import polars as pl

    if times.dtype.base_type() in (pl.Datetime, pl.Date):
        return times.dt.epoch("s"), "dates"
    numbers = _numbers(times)
    compact = _compact_dates(numbers)
    if compact is not None:
        return compact, "dates"
    dates = _iso_dates(times) if times.dtype == pl.String else pl.Series([], dtype=pl.Int64)
    if dates.count() > numbers.count():
        return dates, "dates"
    size = numbers.abs()
    counts = {"seconds": (size.is_between(EARLIEST, SECONDS, closed="left")).sum()}
    for unit, factor in list(UNITS.items())[1:]:
        counts[unit] = size.is_between(_first(factor), LATEST * factor, closed="left").sum()
    unit = max(counts, key=counts.get)
    factor = UNITS[unit]
    last = SECONDS if unit == "seconds" else LATEST * factor
    fits = (size < EARLIEST) | size.is_between(_first(factor), last, closed="left")
    return (numbers // factor).set(~fits, None), unit


def describe_times(name: str, seconds: "pl.Series", kind: str) -> str | None:
    """Return a sentence on what was recognised, None where numbers were taken as they are."""
    if kind == "seconds" or not seconds.count():
        return None
    written = "dates (UTC where they name no zone)" if kind == "dates" else f"{kind} since 1970"
    first, last = (in_words(moment) for moment in (seconds.min(), seconds.max()))
    return f"column {name!r} was read as {written} and turned to seconds: from {first} to {last}."


def _first(factor: int) -> int:
    # Smaller numbers of the coarsest finer unit could be of seconds in the far future.
    return max(EARLIEST * factor, SECONDS) if factor > 1 else EARLIEST


def _numbers(times: "pl.Series") -> "pl.Series":
    """Return whole numbers, null where there is none."""
    import polars as pl

    number = times.cast(pl.Float64, strict=False)
    number = number.set(~number.is_finite(), None).cast(pl.Int64, strict=False)
    if times.dtype.is_float():
        return number
    # Integers first: a float keeps only 53 bits of a time in nanoseconds.
    exact = times.cast(pl.Int64, strict=False)
    return exact.zip_with(exact.is_not_null(), number)


def _compact_dates(numbers: "pl.Series") -> "pl.Series | None":
    """Return the seconds of 20140407 or 20140407105109 if most numbers are like that."""
    import polars as pl

    for layout, (first, last) in COMPACT.items():
        inside = numbers.is_between(first, last)
        if 2 * (inside.sum() or 0) <= numbers.count():
            continue
        kind = pl.Date if len(str(first)) == 8 else pl.Datetime
        text = numbers.set(~inside, None).cast(pl.String)
        dates = text.str.strptime(kind, layout, strict=False)
        if 2 * dates.count() > numbers.count():
            return dates.dt.epoch("s")
    return None


def _iso_dates(times: "pl.Series") -> "pl.Series":
    """Return the seconds of ISO 8601 dates and date-times, null where there is none."""
    import polars as pl

    date, minutes, seconds, zone = (pl.col("parts").struct[place] for place in range(4))
    stamp = pl.concat_str(date, pl.lit(" "), minutes.fill_null("00:00"), seconds.fill_null(":00"))
    digits = zone.str.replace_all(r"\D", "").str.pad_end(4, "0").cast(pl.Int64, strict=False)
    ahead = (digits // 100 * 3600 + digits % 100 * 60).fill_null(0)
    sign = pl.when(zone.str.starts_with("-")).then(-1).otherwise(1)
    local = stamp.str.to_datetime("%Y-%m-%d %H:%M:%S", strict=False).dt.epoch("s")
    frame = times.str.extract_groups(ISO).alias("parts").to_frame()
    return frame.select(local - sign * ahead).to_series()
