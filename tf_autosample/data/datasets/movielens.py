"""MovieLens, by GroupLens."""

import zipfile

from tf_autosample.data.datasets.sources import (
    Content,
    NamedDataset,
    Source,
    pip_download,
    url_download,
)


def read_owners_archive(archive: zipfile.ZipFile) -> Content:
    """Return the content of GroupLens' own zip."""
    lines = archive.read("ml-100k/u.item").decode("latin1").split("\n")
    fields = [line.split("|") for line in lines if line]
    titles = [(line[0], line[1]) for line in fields]
    return Content(archive.read("ml-100k/u.data"), _titles(titles))


def read_recbole_wheel(archive: zipfile.ZipFile) -> Content:
    """Return the same content from the copy that the package RecBole carries."""
    folder = "recbole/dataset_example/ml-100k/ml-100k"
    _, rows = archive.read(f"{folder}.inter").split(b"\n", 1)
    _, *lines = archive.read(f"{folder}.item").decode().rstrip("\n").split("\n")
    titles = []
    for line in lines:
        item, title, year, _ = line.split("\t")
        # The year was cut from the title; the one title without a year is misspelt in both.
        titles.append((item, "unknown" if year == "unkonwn" else f"{title} ({year})"))
    return Content(rows, _titles(titles))


def _titles(titles: list[tuple[str, str]]) -> bytes:
    # Blanks are all that the sources could differ in.
    return "".join(f"{item}\t{' '.join(title.split())}\n" for item, title in titles).encode()


_URL = "https://files.grouplens.org/datasets/movielens/ml-100k.zip"
MOVIELENS_100K = NamedDataset(
    name="movielens-100k",
    description="100,000 ratings of 1,682 films by 943 users, 1997 to 1998.",
    owner="GroupLens Research, University of Minnesota",
    terms=(
        "For research. No commercial use and no redistribution without GroupLens' permission, no "
        "claim of its endorsement; cite it in publications."
    ),
    citation=(
        "F. Maxwell Harper and Joseph A. Konstan. 2015. The MovieLens Datasets: History and "
        "Context. ACM Transactions on Interactive Intelligent Systems 5, 4, Article 19."
    ),
    homepage="https://grouplens.org/datasets/movielens/100k/",
    # That of the owner's u.data; the copy in RecBole is the same but for a header line.
    sha256="06416e597f82b7342361e41163890c81036900f418ad91315590814211dca490",
    sources=(
        Source(_URL, url_download(_URL), read_owners_archive),
        Source(
            "the wheel recbole==1.2.1, by pip",
            pip_download("recbole==1.2.1"),
            read_recbole_wheel,
        ),
    ),
)
