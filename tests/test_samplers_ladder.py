from collections import defaultdict

from tf_autosample.samplers import (
    AdaptiveHardnessSampler,
    DimensionMixupSampler,
    DynamicSampler,
    FactorSampler,
    InBatchSampler,
    PopularitySampler,
    TopSampler,
    UniformSampler,
    hardness_ladder,
)


def ladders(samplers):
    """Names by ladder, in the order of their levels."""
    grouped = defaultdict(list)
    for sampler in samplers:
        kind, level = sampler.traits.ladder
        grouped[kind].append((level, sampler.name))
    return sorted([name for _, name in sorted(rungs)] for rungs in grouped.values())


def test_hardness_ladder_holds_five_kinds_at_each_level():
    names = [sampler.name for sampler in hardness_ladder()]
    assert len(names) == len(set(names)) == 20
    assert names[3:6] == ["dns64", "dns5of8", "dns5of16"]
    for kind in ("ahns", "mixgcf", "dins"):
        assert sum(name.startswith(kind) for name in names) == 4


def test_levels_of_one_kind_form_one_ladder_from_mild_to_hard():
    samplers = hardness_ladder((8, 16, 32))
    expected = [[samplers[3 * kind + level].name for level in range(3)] for kind in range(5)]
    assert ladders(reversed(samplers)) == sorted(expected)


def test_default_hardness_is_the_level_32():
    by_level = hardness_ladder((8, 32))
    assert [one.hardness for one in by_level if "ahns" in one.name] == [0.025, 0.1]
    assert AdaptiveHardnessSampler().hardness == 0.1


def test_samplers_that_differ_in_more_than_the_level_are_on_different_ladders():
    assert TopSampler(2, 8).traits.ladder[0] != TopSampler(5, 16).traits.ladder[0]
    soft, hard = DimensionMixupSampler(8, positive_weight=3.0), DimensionMixupSampler(16)
    assert soft.traits.ladder[0] != hard.traits.ladder[0]
    assert DynamicSampler(8).traits.ladder[0] != TopSampler(1, 8).traits.ladder[0]


def test_name_of_a_sampler_does_not_matter_for_its_ladder():
    one, other = DynamicSampler(8, name="mine"), DynamicSampler(16)
    (kind, level), (other_kind, other_level) = one.traits.ladder, other.traits.ladder
    assert (kind, level, other_level) == (other_kind, 8.0, 16.0)


def test_samplers_without_levels_are_on_no_ladder():
    for sampler in (UniformSampler(), PopularitySampler(), InBatchSampler(), FactorSampler()):
        assert sampler.traits.ladder is None
