"""What a sampler tells before training, and what it gives in a step."""

from dataclasses import dataclass
from typing import Any, NamedTuple

from tf_autosample.batches.proposals import Proposal


class ModelSize(NamedTuple):
    """Shapes that a sampler with state of its own depends on: U, I, L, d and d' (None: d)."""

    num_users: int
    num_items: int
    num_layers: int
    dim: int
    final_dim: int | None = None


@dataclass(frozen=True)
class Traits:
    """What is known of a sampler before training, from its settings and the model's size.

    Attributes:
        proposal: The candidate columns that it looks at.
        num_negatives: N, negatives per row; None: the same for all rows of a batch. Only samplers
            that give one can be blended.
        loss_kinds: Kinds of loss that it can be trained with, the one it is meant for first.
        cost: Item look-ups per positive.
        selectivity: How many candidates compete by their scores to be one negative; 1 if scores
            do not count. `RaceSearch` lets samplers of like selectivity compete first.
        ladder: (kind, hardness), where samplers of one kind are ordered by hardness; else None.
        is_synthetic: Whether a negative is a vector between items and not an item's own.
        needs_ids: Whether it looks users, items or histories up by their ids, so that vectors
            alone do not do.
    """

    proposal: Proposal = Proposal(uniform=1)
    num_negatives: int | None = 1
    loss_kinds: tuple[str, ...] = ("pairwise", "softmax")
    cost: int = 1
    selectivity: float = 1.0
    ladder: tuple[str, float] | None = None
    is_synthetic: bool = False
    needs_ids: bool = False


class Negatives(NamedTuple):
    """What a sampler draws, without gradient.

    Attributes:
        items: int64 [B, P], items outside each row's history; or [S], shared by all rows.
        weights: float [B, N], of N negatives that do not count alike; they sum to 1.
        log_q: float [S] or [B, N], the logarithm of how often each is expected to be drawn, for
            a softmax loss that corrects for it.
        excluded: bool [B, S], which of the shared negatives a row leaves out.
    """

    items: Any
    weights: Any = None
    log_q: Any = None
    excluded: Any = None


class Formed(NamedTuple):
    """What a sampler makes of the items that it drew, with gradient.

    Attributes:
        embeddings: float [B, L+1, d], [B, N, L+1, d] of N negatives, or [S, L+1, d] of shared ones.
        auxiliary: float [B], a loss for parameters of the sampler's own, or None.
    """

    embeddings: Any
    auxiliary: Any = None
