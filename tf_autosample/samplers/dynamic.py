"""The sampler that follows the model: the hardest of a few uniform candidates."""

import keras

from tf_autosample.samplers.base import CandidateSampler


@keras.saving.register_keras_serializable(package="tf_autosample")
class DynamicSampler(CandidateSampler):
    """Picks the highest-scored of M uniform candidates (DNS).

    j* = argmax over M candidates of score(u, j). Hardness grows with M: M = 1 is uniform; dense
    data want a small M (8), sparse data bear a large one (32). A large M also finds held-out
    positives more often. Returns an item; costs M look-ups and M·d multiplications per positive.

    Args:
        num_candidates: M. Samplers with different M share one pool: this one looks at its
            first M uniform columns. Defaults to 8.

    Reference: Zhang et al., "Optimizing Top-N Collaborative Filtering via Dynamic Negative Item
    Sampling", SIGIR 2013.
    """

    def __init__(self, num_candidates: int = 8, *, name: str | None = None, **kwargs):
        super().__init__(num_candidates, name=name or f"dns{num_candidates}", **kwargs)

    def draw(self, view):
        return self.draw_best(view, view.scores[:, : self.num_candidates])
