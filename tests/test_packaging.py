import shutil
import stat
import subprocess
import sys
import tarfile
import zipfile
from configparser import ConfigParser
from email.parser import Parser
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


def library_files() -> dict[str, bytes]:
    return {
        path.relative_to(ROOT).as_posix(): path.read_bytes()
        for path in (ROOT / "tf_autosample").rglob("*")
        if path.is_file() and path.parent.name != "__pycache__"
    }


@pytest.fixture(scope="module")
def distributions(tmp_path_factory) -> Path:
    """Folder with an sdist, and a wheel built from that sdist, without a network."""
    source = tmp_path_factory.mktemp("source")
    for name in ("setup.py", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    ignore = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "tf_autosample", source / "tf_autosample", ignore=ignore)
    output = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", output, source]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return output


def test_wheel_holds_every_file_of_the_library(distributions):
    with zipfile.ZipFile(next(distributions.glob("*.whl"))) as wheel:
        expected = library_files()
        assert "tf_autosample/export/publish.py" in expected
        assert expected.items() <= {name: wheel.read(name) for name in wheel.namelist()}.items()
        assert not any(stat.S_ISLNK(info.external_attr >> 16) for info in wheel.infolist())


def test_sdist_holds_every_file_of_the_library(distributions):
    with tarfile.open(next(distributions.glob("*.tar.gz"))) as sdist:
        members = {member.name.split("/", 1)[-1]: member for member in sdist}
        for name, content in library_files().items():
            assert members[name].isfile()
            assert sdist.extractfile(members[name]).read() == content


def test_wheel_is_typed_licensed_and_installs_the_command(distributions):
    with zipfile.ZipFile(next(distributions.glob("*.whl"))) as wheel:
        names = wheel.namelist()
        (metadata,) = (name for name in names if name.endswith(".dist-info/METADATA"))
        folder = metadata.rpartition("/")[0]
        fields = Parser().parsestr(wheel.read(metadata).decode())
        commands = ConfigParser()
        commands.read_string(wheel.read(f"{folder}/entry_points.txt").decode())
    assert "tf_autosample/py.typed" in names and f"{folder}/licenses/LICENSE" in names
    assert {name.split("/")[0] for name in names} == {"tf_autosample", folder}
    assert fields["License-Expression"] == "Apache-2.0"
    assert commands["console_scripts"]["autosample"] == "tf_autosample.cli:main"
