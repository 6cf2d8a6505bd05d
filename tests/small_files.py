"""Small files of data, written for a test and read back as raw ids."""

import gzip
import io

import polars as pl


def pairs(data) -> list[tuple]:
    """Return (raw user, raw item) of every row."""
    log = data.interactions
    users, items = data.users.decode(log.users).tolist(), data.items.decode(log.items).tolist()
    return list(zip(users, items, strict=True))


def write(folder, name: str, content: str | bytes):
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def gz(content: str) -> bytes:
    return gzip.compress(content.encode())


def zst(content: str) -> bytes:
    """Compress with polars: Python has no zstandard before 3.14."""
    file = io.BytesIO()
    lines = pl.DataFrame({"line": content.removesuffix("\n").split("\n")})
    lines.write_csv(file, include_header=False, quote_style="never", compression="zstd")
    return file.getvalue()
