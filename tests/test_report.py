import pytest
from made_records import made_arm, made_record

from tf_autosample.report import curves_text, save_curves


@pytest.fixture
def record():
    """Two arms: one chosen at epoch 3, one dropped at epoch 2; a third never measured."""
    return made_record(
        made_arm("uniform", [(1, 0.1), (2, 0.11)], dropped="behind"),
        made_arm("dns8", [(1, 0.1), (2, 0.2), (3, 0.3), (4, 0.25)]),
        made_arm("late", []),
        winner="dns8",
    )


def test_text_names_the_chosen_arm_and_the_dropped_ones(record):
    text = curves_text(record, width=70)
    assert "dns8 (chosen, epoch 3)" in text
    assert "uniform (dropped at 2)" in text
    assert "late" not in text
    assert "val_ndcg@20 by epoch" in text


def test_text_holds_no_colour_codes_and_keeps_its_width(record):
    text = curves_text(record, width=70)
    assert "\x1b" not in text
    assert max(map(len, text.splitlines())) == 70


def test_image_is_a_png_and_nothing_is_left_beside_it(record, tmp_path):
    save_curves(record, tmp_path / "curves.png")
    assert (tmp_path / "curves.png").read_bytes().startswith(b"\x89PNG\r\n\x1a\n")
    assert [path.name for path in tmp_path.iterdir()] == ["curves.png"]


def test_failed_drawing_leaves_the_earlier_image(record, tmp_path):
    path = tmp_path / "curves.png"
    path.write_bytes(b"earlier")
    del record.settings["metric"]
    with pytest.raises(KeyError):
        save_curves(record, path)
    assert path.read_bytes() == b"earlier"
