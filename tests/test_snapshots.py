import keras
import numpy as np
import pytest

from tf_autosample.search.snapshots import Snapshots, read_variables, write_variables

# An arm that blends two samplers has dots and plus signs in its name.
BLEND = "last-0.5-dns32+0.5-dns8-7"


@pytest.fixture(params=["memory", "files"])
def snapshots(request, tmp_path):
    return Snapshots(tmp_path / "run" / "states" if request.param == "files" else None)


def arrays(count=12):
    """More than ten, so that an order by name would show; with a scalar and several dtypes."""
    rng = np.random.default_rng(0)
    floats = [rng.random((k, 3)).astype(np.float32) for k in range(count)]
    return [np.int64(7), *floats, np.array([True, False])]


def assert_same(found, expected):
    assert len(found) == len(expected)
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(one, other, strict=True)


def test_arrays_come_back_in_order_with_shape_and_dtype(snapshots):
    snapshots.save(BLEND, arrays())
    snapshots.save("empty", [])
    assert_same(snapshots.load(BLEND), arrays())
    assert snapshots.load("empty") == []


def test_second_save_replaces_the_first(snapshots):
    snapshots.save("a", arrays(2))
    snapshots.save("a", arrays(1))
    assert_same(snapshots.load("a"), arrays(1))


def test_only_the_named_are_kept(snapshots):
    names = [BLEND, "last-0.5-dns32+0.5-dns8-8", "last-0", "last-0.5-dns32+0", "initial"]
    for name in names:
        snapshots.save(name, arrays(1))
    snapshots.keep_only({BLEND, "initial"})
    assert_same(snapshots.load(BLEND), arrays(1))
    assert_same(snapshots.load("initial"), arrays(1))
    for name in names[1:4]:
        with pytest.raises((KeyError, FileNotFoundError)):
            snapshots.load(name)


def test_files_are_found_by_the_next_process(tmp_path):
    Snapshots(tmp_path).save(BLEND, arrays())
    assert_same(Snapshots(tmp_path).load(BLEND), arrays())
    assert [path.name for path in tmp_path.iterdir()] == [f"{BLEND}.npz"]


def test_save_that_is_cut_short_leaves_the_old_arrays(tmp_path, monkeypatch):
    snapshots = Snapshots(tmp_path)
    snapshots.save("a", arrays(3))

    def crash(file, *arrays):
        file.write(b"half of it")
        raise KeyboardInterrupt

    monkeypatch.setattr(np, "savez", crash)
    with pytest.raises(KeyboardInterrupt):
        snapshots.save("a", arrays(1))
    assert_same(snapshots.load("a"), arrays(3))
    snapshots.keep_only({"a"})
    assert [path.name for path in tmp_path.iterdir()] == ["a.npz"]


def test_read_values_do_not_follow_the_variables_and_can_be_written_back():
    variables = [keras.Variable(np.float32([1, 2])), keras.Variable(3, dtype="int64")]
    values = read_variables(variables)
    variables[0].assign_add([10.0, 10.0])
    variables[1].assign(5)
    assert_same(values, [np.float32([1, 2]), np.array(3)])
    write_variables(variables, values)
    assert_same(read_variables(variables), [np.float32([1, 2]), np.array(3)])


def test_other_number_or_shape_of_arrays_is_refused():
    variables = [keras.Variable(np.float32([1, 2]))]
    with pytest.raises(ValueError):
        write_variables(variables, [np.float32([1, 2]), np.float32([1, 2])])
    with pytest.raises(ValueError):
        write_variables(variables, [np.float32([1, 2, 3])])
