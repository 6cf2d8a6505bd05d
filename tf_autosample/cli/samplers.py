"""Samplers as they are written on the command line: `dns:m=8`, separated by commas."""

from tf_autosample import samplers
from tf_autosample.samplers import NegativeSampler

M = {"m": ("num_candidates", int)}
# Name: class, and for each setting its constructor argument and type.
SAMPLERS = {
    "uniform": (samplers.UniformSampler, {"n": ("num_negatives", int)}),
    "popularity": (samplers.PopularitySampler, {"power": ("power", float)}),
    "in-batch": (samplers.InBatchSampler, {}),
    "mixed": (samplers.MixedSampler, {"uniform": ("num_uniform", int)}),
    "aobpr": (samplers.FactorSampler, {"share": ("rank_share", float)}),
    "dns": (samplers.DynamicSampler, M),
    "dns-mn": (samplers.TopSampler, {**M, "best": ("num_best", int)}),
    "softmax-v": (samplers.SoftmaxSampler, {**M, "hardness": ("hardness", float)}),
    "adasir": (samplers.ResamplingSampler, {**M, "n": ("num_negatives", int)}),
    "srns": (samplers.MemorySampler, {**M, "variance": ("variance_weight", float)}),
    "mixgcf": (samplers.MixGCFSampler, M),
    "dens": (samplers.DisentangledSampler, {**M, "warmup": ("warmup_epochs", int)}),
    "ans": (samplers.AugmentedSampler, M),
    "ahns": (
        samplers.AdaptiveHardnessSampler,
        {
            **M,
            "beta": ("hardness", float),
            "alpha": ("shift", float),
            "p": ("power", float),
        },
    ),
    "dins": (samplers.DimensionMixupSampler, {**M, "alpha": ("positive_weight", float)}),
    "mcns": (samplers.ChainSampler, {"power": ("power", float)}),
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
    sampler_class, known = SAMPLERS[name]
    arguments = {}
    for setting in settings:
        key, _, value = setting.partition("=")
        try:
            argument, kind = known[key]
            arguments[argument] = kind(value)
        except (KeyError, ValueError):
            allowed = ", ".join(f"{key}=NUMBER" for key in known) or "no settings"
            raise ValueError(
                f"The sampler {name!r} takes {allowed}. Received: {setting!r}."
            ) from None
    return sampler_class(**arguments)
