"""Where public data come from: what a data set is, and how an archive is fetched."""

import pathlib
import shutil
import subprocess
import sys
import urllib.request
import zipfile
from collections.abc import Callable
from dataclasses import dataclass

CONNECT_SECONDS = 10  # a network that blocks a host should not hold up the next source
PIP_SECONDS = 300


@dataclass(frozen=True)
class Content:
    """A data set in the one form that all its sources are brought to.

    Attributes:
        interactions: bytes. Lines of user, item, rating, timestamp: integers between tabs.
        titles: bytes. Lines of item and title, UTF-8, between tabs.
    """

    interactions: bytes
    titles: bytes


@dataclass(frozen=True)
class Source:
    """One place to get a data set from.

    Attributes:
        place: str. The place as a person would name it.
        fetch: function from a folder to the zip archive it put there.
        extract: function from that archive, opened, to Content.
    """

    place: str
    fetch: Callable[[pathlib.Path], pathlib.Path]
    extract: Callable[[zipfile.ZipFile], Content]


@dataclass(frozen=True)
class NamedDataset:
    """A public data set: whose it is, under which terms, and where it is found.

    Attributes:
        name: str. What `load` calls it.
        description: str.
        owner: str.
        terms: str. What the owner allows and asks for.
        citation: str.
        homepage: str.
        sha256: str. Of `Content.interactions`, so that it holds for every source.
        sources: tuple of Source, in the order in which they are tried.
    """

    name: str
    description: str
    owner: str
    terms: str
    citation: str
    homepage: str
    sha256: str
    sources: tuple[Source, ...]


def url_download(url: str) -> Callable[[pathlib.Path], pathlib.Path]:
    """Return a function that downloads a file into a folder."""

    def fetch(folder: pathlib.Path) -> pathlib.Path:
        target = folder / "archive.zip"
        with urllib.request.urlopen(url, timeout=CONNECT_SECONDS) as answer:
            with target.open("wb") as file:
                shutil.copyfileobj(answer, file)
        return target

    return fetch


def pip_download(requirement: str) -> Callable[[pathlib.Path], pathlib.Path]:
    """Return a function that gets a wheel into a folder by pip.

    A package index can often be reached where other hosts cannot.
    """

    def fetch(folder: pathlib.Path) -> pathlib.Path:
        options = ["--no-deps", "--only-binary=:all:", "--disable-pip-version-check", "--quiet"]
        command = [sys.executable, "-m", "pip", "download", *options, "--dest", str(folder)]
        done = subprocess.run(
            [*command, requirement],
            capture_output=True,
            stdin=subprocess.DEVNULL,
            text=True,
            timeout=PIP_SECONDS,
        )
        wheels = list(folder.glob("*.whl"))
        if done.returncode or len(wheels) != 1:
            reason = done.stderr.strip().splitlines()[-1:] or ["no wheel came"]
            raise OSError(f"pip download failed: {reason[0]}")
        return wheels[0]

    return fetch
