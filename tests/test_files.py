import pathlib

import pytest

from tf_autosample.data.files import replacing

PACKAGE = pathlib.Path(__file__).parent.parent / "tf_autosample"


def test_the_file_is_the_old_one_until_the_block_ends(tmp_path):
    path = tmp_path / "a.npz"
    path.write_text("old")
    with replacing(path) as staged:
        staged.write_text("new")
        assert (staged.parent, staged.suffix) == (tmp_path, ".npz")
        assert path.read_text() == "old"
    assert path.read_text() == "new"
    assert [one.name for one in tmp_path.iterdir()] == ["a.npz"]


@pytest.mark.parametrize("error", [OSError, KeyboardInterrupt])
@pytest.mark.parametrize("was_there", [True, False])
def test_block_that_fails_leaves_what_was_there_and_nothing_beside_it(tmp_path, error, was_there):
    path = tmp_path / "a.json"
    if was_there:
        path.write_text("old")
    with pytest.raises(error), replacing(str(path)) as staged:
        staged.write_text("half of")
        raise error
    assert [(one.name, one.read_text()) for one in tmp_path.iterdir()] == [
        ("a.json", "old")
    ] * was_there


def test_no_other_module_renames_a_file_it_wrote():
    # An export is a directory and takes its place only if no version of that number is there.
    renaming = {
        str(path.relative_to(PACKAGE))
        for path in PACKAGE.rglob("*.py")
        if any(call in path.read_text("utf-8") for call in ("os.replace(", "os.rename("))
    }
    assert renaming == {"data/files.py", "export/publish.py"}
