import pytest

import tf_autosample


def test_public_names_are_sorted_and_listed_by_dir():
    assert tf_autosample.__all__ == sorted(set(tf_autosample.__all__))
    assert set(tf_autosample.__all__) <= set(dir(tf_autosample))


@pytest.mark.parametrize("name", tf_autosample.__all__)
def test_public_name_is_imported_and_described(name):
    public = getattr(tf_autosample, name)
    assert public.__name__.rpartition(".")[2] == name
    # A dataclass without a docstring gets its signature as one.
    assert public.__doc__ and not public.__doc__.startswith(f"{name}(")


def test_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="tf_autosample attribute no_such_name"):
        tf_autosample.no_such_name  # noqa: B018
