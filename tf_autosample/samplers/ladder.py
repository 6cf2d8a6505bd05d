"""A set of samplers at several levels of hardness."""

from tf_autosample.samplers.base import NegativeSampler
from tf_autosample.samplers.dynamic import DynamicSampler
from tf_autosample.samplers.mixing import DimensionMixupSampler, MixGCFSampler
from tf_autosample.samplers.ranked import AdaptiveHardnessSampler, TopSampler


def hardness_ladder(levels: tuple[int, ...] = (8, 16, 32, 64)) -> list[NegativeSampler]:
    """Returns DNS, DNS(M,N), AHNS, MixGCF and DINS, each at several levels of hardness.

    `RaceSearch` knows that the levels of one kind are ordered, and need not run them all.

    Args:
        levels: Numbers of candidates M of DNS, DNS(M,N) with N 5, MixGCF and DINS. AHNS takes
            M 32 and the hardness M / 320, so that 32 is its default.

    >>> [sampler.name for sampler in hardness_ladder((8, 32))][:4]
    ['dns8', 'dns32', 'dns5of8', 'dns5of32']
    """
    return [
        *(DynamicSampler(level) for level in levels),
        *(TopSampler(5, level) for level in levels),
        *(AdaptiveHardnessSampler(hardness=level / 320) for level in levels),
        *(MixGCFSampler(level) for level in levels),
        *(DimensionMixupSampler(level) for level in levels),
    ]
