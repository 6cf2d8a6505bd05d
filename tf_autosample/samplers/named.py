"""Samplers by name: `dns:m=8`, separated by commas; on the command line and in Python."""

import math
import re

from tf_autosample.samplers.base import NegativeSampler
from tf_autosample.samplers.chain import ChainSampler
from tf_autosample.samplers.dynamic import DynamicSampler
from tf_autosample.samplers.factor import FactorSampler
from tf_autosample.samplers.gated import AugmentedSampler, DisentangledSampler
from tf_autosample.samplers.in_batch import InBatchSampler, MixedSampler
from tf_autosample.samplers.memory import MemorySampler
from tf_autosample.samplers.mixing import DimensionMixupSampler, MixGCFSampler
from tf_autosample.samplers.ranked import AdaptiveHardnessSampler, TopSampler
from tf_autosample.samplers.static import PopularitySampler, UniformSampler
from tf_autosample.samplers.weighted import ResamplingSampler, SoftmaxSampler

M = {"m": ("num_candidates", int)}
# Name: class, and for each setting its constructor argument and type.
SAMPLERS = {
    "uniform": (UniformSampler, {"n": ("num_negatives", int)}),
    "popularity": (PopularitySampler, {"power": ("power", float)}),
    "in-batch": (InBatchSampler, {}),
    "mixed": (MixedSampler, {"uniform": ("num_uniform", int)}),
    "aobpr": (FactorSampler, {"share": ("rank_share", float)}),
    "dns": (DynamicSampler, M),
    "dns-mn": (TopSampler, {**M, "best": ("num_best", int)}),
    "softmax-v": (SoftmaxSampler, {**M, "hardness": ("hardness", float)}),
    "adasir": (ResamplingSampler, {**M, "n": ("num_negatives", int)}),
    "srns": (MemorySampler, {**M, "variance": ("variance_weight", float)}),
    "mixgcf": (MixGCFSampler, M),
    "dens": (DisentangledSampler, {**M, "warmup": ("warmup_epochs", int)}),
    "ans": (AugmentedSampler, M),
    "ahns": (
        AdaptiveHardnessSampler,
        {
            **M,
            "beta": ("hardness", float),
            "alpha": ("shift", float),
            "p": ("power", float),
        },
    ),
    "dins": (DimensionMixupSampler, {**M, "alpha": ("positive_weight", float)}),
    "mcns": (ChainSampler, {"power": ("power", float)}),
}
# From easy to hard, with and without mixing; docs/search.md measures how far this set gets.
AUTO = "uniform,popularity,dns:m=8,dns-mn,ahns,mixgcf:m=8,mixgcf,dins"
# The samplers of `hardness_ladder()`.
LEVELS = (8, 16, 32, 64)
LADDER = ",".join(
    [
        *(f"dns:m={level}" for level in LEVELS),
        *(f"dns-mn:m={level}" for level in LEVELS),
        *(f"ahns:beta={level / 320:g}" for level in LEVELS),
        *(f"mixgcf:m={level}" for level in LEVELS),
        *(f"dins:m={level}" for level in LEVELS),
    ]
)
SETS = {"auto": AUTO, "ladder": LADDER}


def parse_samplers(text: str) -> list[NegativeSampler]:
    """Builds the samplers that `text` lists; "auto" and "ladder" each stand for a set.

    >>> [sampler.name for sampler in parse_samplers("uniform,dns:m=32")]
    ['uniform', 'dns32']
    """
    return list(parse_each(text).values())


def parse_each(text: str) -> dict[str, NegativeSampler]:
    """As `parse_samplers`, with each sampler under the part of the text that describes it."""
    parts = [part.strip() for part in text.split(",")]
    described = ",".join(SETS.get(part, part) for part in parts).split(",")
    samplers = [_parse(one) for one in described]
    names = [sampler.name for sampler in samplers]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ValueError(
            f"Samplers must be listed once each. Received: {text!r}, "
            f"with {', '.join(twice)} more than once."
        )
    return dict(zip(described, samplers, strict=True))


def _parse(text: str) -> NegativeSampler:
    name, *settings = text.split(":")
    if name not in SAMPLERS:
        raise ValueError(
            f"A sampler must be {', '.join(SETS)} or one of {', '.join(SAMPLERS)}. "
            f"Received: {text!r}."
        )
    sampler_class, settable = SAMPLERS[name]
    known, arguments = dict(settable), {}
    for setting in settings:
        key, _, value = setting.partition("=")
        try:
            argument, kind = known.pop(key)  # each once
            arguments[argument] = number = kind(value)
            if not math.isfinite(number):
                raise ValueError
        except (KeyError, ValueError):
            allowed = ", ".join(f"{key}=NUMBER" for key in settable) or "no settings"
            raise ValueError(
                f"The sampler {name!r} takes {allowed}, each once. Received: {text!r}."
            ) from None
    try:
        return sampler_class(**arguments)
    except ValueError as error:
        message = str(error)
        for key, (argument, _) in settable.items():
            message = re.sub(rf"\b{argument}\b", key, message)
        raise ValueError(f"The sampler {text!r} cannot be made: {message}") from error
