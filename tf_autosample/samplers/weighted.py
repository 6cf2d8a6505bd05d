"""Samplers that give many negatives with weights: Softmax-v and AdaSIR."""

import dataclasses
import math

import keras
import tensorflow as tf

from tf_autosample.batches.draws import categorical, fold_in, integers, split, uniform
from tf_autosample.batches.proposals import ComplementSampler
from tf_autosample.data.checks import at_least, number, seeded
from tf_autosample.data.interactions import Interactions
from tf_autosample.samplers.base import CandidateSampler, NegativeSampler
from tf_autosample.samplers.contract import ModelSize, Negatives, Traits

# Keeps Softmax-v's temperature above 0 where all candidates have the same loss.
MIN_VARIANCE = 1e-12

# Users whose pools AdaSIR renews at once: 200 look-ups of 64 floats each make 50 MB.
USERS_PER_BLOCK = 1024


@keras.saving.register_keras_serializable(package="tf_autosample")
class SoftmaxSampler(CandidateSampler):
    """Keeps all N uniform candidates and weighs them by a softmax of their losses (Softmax-v).

    With l_j = softplus(r_j - r_i), the weights are softmax_j(l_j / tau) and carry no gradient.
    tau = sqrt(Var_j(l_j) / (2 rho)), the variance over the row's N candidates, is what a KL ball of
    radius rho around the uniform law leads to: rho -> 0 is uniform, a large rho DNS. Where all
    losses are equal the variance is 0 and the weights are uniform. The law always uses the BPR
    losses, whatever pairwise loss is trained with.

    Returns N items with weights, so it trains alone and cannot be blended. Costs N look-ups and
    2·N·d multiplications per positive, forward and backward: 51 MB per 1,000 rows of a batch with
    N = 200 and d = 64. No state.

    Args:
        hardness: rho. The authors try 0.01 to 100, and let the data decide. Defaults to 1.
        num_candidates: N. Defaults to 200.

    Reference: Shi et al., "On the Theories Behind Hard Negative Sampling for Recommendation", WWW
    2023, arXiv 2302.03472. The official code adds the terms up over a batch where we take the mean.
    """

    def __init__(
        self,
        hardness: float = 1.0,
        num_candidates: int = 200,
        *,
        name: str | None = None,
        **kwargs,
    ):
        hardness = number(above=0, hardness=hardness)
        default = f"softmax-v{hardness:g}-{num_candidates}"
        super().__init__(num_candidates, name=name or default, **kwargs)
        at_least(2, num_candidates=num_candidates)  # there is nothing to weigh in one
        self.hardness = hardness

    @property
    def traits(self) -> Traits:
        return dataclasses.replace(
            super().traits,
            num_negatives=self.num_candidates,
            loss_kinds=("pairwise",),
            # A law at the distance rho from the uniform one leaves exp(-rho) of the candidates.
            selectivity=math.exp(min(self.hardness, math.log(self.num_candidates))),
        )

    def draw(self, view):
        scores = view.scores[:, : self.num_candidates]
        losses = tf.nn.softplus(scores - view.positive_scores[:, None])
        mean, variance = tf.nn.moments(losses, axes=[1], keepdims=True)
        tau = tf.sqrt(variance / (2 * self.hardness) + MIN_VARIANCE)
        # Centred, the logits are at most sqrt(2 rho N), however small the variance.
        weights = tf.nn.softmax((losses - mean) / tau)
        return Negatives(view.candidates[:, : self.num_candidates], weights)

    def get_config(self):
        return {**super().get_config(), "hardness": self.hardness}


@keras.saving.register_keras_serializable(package="tf_autosample")
class ResamplingSampler(NegativeSampler):
    """Draws from a pool per user that importance resampling keeps near the softmax law (AdaSIR).

    Before each epoch, R uniform items per user are drawn from outside the history, and S of them
    resampled with replacement with probability ∝ exp(r): for R -> infinity a draw from
    softmax(r) over all items. Each place of the user's pool then keeps its old item with
    probability 1/2 and takes a resampled one otherwise, so that hard items are used again. In the
    step, K items of the pool, uniform with replacement, are weighed by softmax_k(r_k) of their
    present scores, without gradient.

    Returns K items with weights. Costs 2·K look-ups and 2·K·d multiplications per positive, and
    U·R·d per epoch. State: 8·S bytes per user (400).

    Args:
        num_negatives: K. More than one trains alone and cannot be blended. Defaults to 5.
        pool_size: S. Defaults to 50.
        num_candidates: R. More is harder. Defaults to 200.
        seed: Seeds the resampling, together with the epoch.

    Reference: Chen et al., "Learning Recommenders for Implicit Feedback with Importance
    Resampling", WWW 2022. The official code draws candidates from the user's history too, draws
    the new pool with replacement from both halves, and in one variant adds the logarithm of the
    stored resampling weight to that softmax; we have none of the three (a correction would have to
    subtract it). It is the variant with uniform proposal, without rank-based weights of positives.
    """

    def __init__(
        self,
        num_negatives: int = 5,
        pool_size: int = 50,
        num_candidates: int = 200,
        *,
        seed: int = 0,
        name: str | None = None,
        **kwargs,
    ):
        super().__init__(name=name or f"adasir{num_negatives}-{num_candidates}", **kwargs)
        self.num_negatives = at_least(1, num_negatives=num_negatives)
        self.pool_size = at_least(1, pool_size=pool_size)
        self.num_candidates = at_least(1, num_candidates=num_candidates)
        self.seed = seeded(seed=seed)
        self._uniform: ComplementSampler | None = None

    @property
    def traits(self) -> Traits:
        return Traits(
            num_negatives=self.num_negatives,
            loss_kinds=("pairwise",),
            cost=self.num_negatives,
            selectivity=max(1.0, self.num_candidates / self.pool_size),
            needs_ids=True,
        )

    def add_state(self, size: ModelSize) -> None:
        self.pools = self.add_table("pools", (size.num_users, self.pool_size), memory_of="items")

    def adapt(self, interactions: Interactions) -> None:
        super().adapt(interactions)
        self._uniform = ComplementSampler.of(interactions)

    def refresh(self, model, epoch: int) -> None:
        user_emb, item_emb = model.final_embeddings()
        num_users = self.pools.shape[0]
        for start in range(0, num_users, USERS_PER_BLOCK):
            users = tf.range(start, min(start + USERS_PER_BLOCK, num_users))
            seed = fold_in([self.seed, epoch], start)
            self._renew(users, tf.gather(user_emb, users), item_emb, seed)

    def _renew(self, users, user_emb, item_emb, seed):
        """Renews the pools of some users, int32 [b], whose final vectors are float [b, d']."""
        draw, resample, keep = split(seed, 3)
        candidates = self._uniform.draw(users, self.num_candidates, draw)
        scores = tf.einsum("bd,brd->br", user_emb, tf.gather(item_emb, candidates))
        # The proposal is uniform, so its log q shifts all logits alike.
        places = categorical(scores, self.pool_size, resample)
        fresh = tf.gather(candidates, places, batch_dims=1)
        old = tf.gather(self.pools.value, users)
        # An item of a former fit's pool may have entered the history since.
        is_usable = (old >= 0) & ~self.history(users[:, None], old)
        is_kept = uniform(tf.shape(old), keep) < 0.5
        pools = tf.where(is_usable & is_kept, old, fresh)
        self.pools.value.scatter_update(tf.IndexedSlices(pools, users))

    def draw(self, view):
        pools = tf.gather(self.pools.value, view.users)
        shape = [tf.size(view.users), self.num_negatives]
        places = integers(shape, view.seed(self.name), self.pool_size, tf.int32)
        items = tf.gather(pools, places, batch_dims=1)
        # Pools are empty only when a step runs before the first refresh.
        items = tf.where(items >= 0, items, view.candidates[:, :1])
        if self.num_negatives == 1:
            return Negatives(items)
        return Negatives(items, tf.nn.softmax(view.score_items(items)))

    def get_config(self):
        return {
            **super().get_config(),
            "num_negatives": self.num_negatives,
            "pool_size": self.pool_size,
            "num_candidates": self.num_candidates,
            "seed": self.seed,
        }
