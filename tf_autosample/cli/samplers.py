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
AUTO = "uniform,popularity,dns:m=8,dns:m=32"


def parse_samplers(text: str) -> list[NegativeSampler]:
    """Builds the samplers that `text` lists; "auto" is the default set.

    >>> [sampler.name for sampler in parse_samplers("uniform,dns:m=32")]
    ['uniform', 'dns32']
    """
    return [_parse(part.strip()) for part in (AUTO if text == "auto" else text).split(",")]


def _parse(text: str) -> NegativeSampler:
    name, *settings = text.split(":")
    if name not in SAMPLERS:
        raise ValueError(
            f"`--sampler` must be auto or one or more of {', '.join(SAMPLERS)}. Received: {text!r}."
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
