"""What a sampler may look at: a batch, its candidates, and their scores."""

import zlib
from collections.abc import Callable
from functools import cached_property

import tensorflow as tf

from tf_autosample.batches.proposals import Proposal, SeenPairs


class CandidateView:
    """A batch as samplers see it.

    Everything but ids and the embeddings of users and positives is computed when first asked for
    and then shared by all samplers, so that a sampler which needs no scores costs none. Scores,
    candidates and pooled vectors carry no gradient: the [B, M, d] embeddings of the candidates
    never enter the backward pass.

    Attributes:
        users: int64 [B].
        positives: int64 [B].
        candidates: int64 [B, M], the uniform ones.
        user_emb: float [B, L+1, d], per layer, with gradient.
        positive_emb: float [B, L+1, d], per layer, with gradient.
        item: ids [...] -> float [..., L+1, d], with gradient.
        readout: Drops the layer axis, with gradient: float [..., L+1, d] -> [..., d'].
        history: Tells which items are in a user's history, for `(users, items) -> bool`.
    """

    def __init__(
        self,
        *,
        users,
        positives,
        candidates,
        seeds,
        proposal: Proposal,
        user_emb,
        positive_emb,
        item: Callable,
        readout: Callable,
        history: SeenPairs | None = None,
        item_vectors: Callable | None = None,
        num_scored: int | None = None,
    ):
        """Makes the view of a batch.

        Args:
            users: int [B].
            positives: int [B].
            candidates: int [B, M], the columns of `proposal`.
            seeds: int32 [B, 2].
            proposal: What the candidate columns hold.
            user_emb: float [B, L+1, d].
            positive_emb: float [B, L+1, d].
            item: See the class.
            readout: See the class.
            history: See the class.
            item_vectors: ids [...] -> float [..., d'], if that is cheaper than by layers.
            num_scored: How many uniform columns the samplers at work look at. None: all.
        """
        self.users, self.positives = tf.cast(users, tf.int64), tf.cast(positives, tf.int64)
        self.user_emb, self.positive_emb = user_emb, positive_emb
        self.item, self.readout, self._history = item, readout, history
        self._proposal, self._seeds, self._item_vectors = proposal, seeds, item_vectors
        self._columns = tf.cast(candidates, tf.int64)
        self.candidates = self._columns[:, : proposal.uniform if num_scored is None else num_scored]

    @property
    def history(self) -> SeenPairs:
        if self._history is None:
            raise ValueError(
                "The sampler must know the training histories. Call `adapt(interactions)` of the "
                "model, or of the sampler where it is used as a layer, before the first step."
            )
        return self._history

    @cached_property
    def candidate_emb(self):
        """Per-layer embeddings of the uniform candidates, float [B, M, L+1, d]."""
        return tf.stop_gradient(self.item(self.candidates))

    @cached_property
    def user_vectors(self):
        """Final vectors of the users, float [B, d']."""
        return tf.stop_gradient(self.readout(self.user_emb))

    @cached_property
    def positive_scores(self):
        """Scores of the positives, float [B]."""
        vectors = tf.stop_gradient(self.readout(self.positive_emb))
        return tf.reduce_sum(self.user_vectors * vectors, axis=-1)

    @cached_property
    def scores(self):
        """Scores of the uniform candidates, float [B, M]."""
        if self._item_vectors is None:
            return tf.linalg.matvec(self.readout(self.candidate_emb), self.user_vectors)
        return self.score_items(self.candidates)

    @cached_property
    def layer_scores(self):
        """Scores of each layer of the uniform candidates, float [B, M, L+1].

        Of a lone layer they are `scores`, so that no sampler computes them again.
        """
        if self.user_emb.shape[1] == 1:
            return self.scores[..., None]
        query = tf.stop_gradient(self.layer_query())
        if query.shape[1] == 1:  # the user's axis last spares a copy of the candidates
            return tf.einsum("bd,bmld->bml", query[:, 0], self.candidate_emb)
        return tf.einsum("bld,bmld->bml", query, self.candidate_emb)

    def layer_query(self):
        """What a layer of an item is scored against, with gradient: [B, 1 or L+1, d].

        The user's final vector, or the user's own layer where the readout joins the layers into
        a longer vector.
        """
        vectors = self.readout(self.user_emb)
        joins = vectors.shape[-1] != self.user_emb.shape[-1]
        return self.user_emb if joins else vectors[:, None]

    def score_items(self, items):
        """Scores of other items than the candidates: int [B, N] -> float [B, N]."""
        if self._item_vectors is None:
            vectors = self.readout(self.item(items))
        else:
            vectors = self._item_vectors(items)
        return tf.linalg.matvec(tf.stop_gradient(vectors), self.user_vectors)

    def popular(self, power: float):
        """Items drawn with probability ∝ max(count, 1)^power, int64 [B]."""
        return self._columns[:, self._proposal.uniform + self._proposal.popularity.index(power)]

    def take(self, columns):
        """Items in the given columns, int [B, P] -> int64 [B, P]."""
        return tf.gather(self.candidates, columns, batch_dims=1)

    def seed(self, name: str):
        """A seed int32 [2] for `tf.random.stateless_*`, its own for each batch and name."""
        return tf.random.experimental.stateless_fold_in(
            self._seeds[0], zlib.crc32(name.encode()) & 0x7FFFFFFF
        )


def view_of_tensors(inputs, proposal: Proposal, seeds, history: SeenPairs | None) -> CandidateView:
    """Returns the view of plain tensors, for samplers that are called as layers.

    Args:
        inputs: `{"user": float [B, d], "positive": [B, d], "candidates": [B, M, d]}`, where each
            may have an axis of layers before the last, [..., L+1, d]. Without ids the candidates
            are numbered row by row. With ids, `{"user_ids": int [B], "positive_ids": [B],
            "candidate_ids": [B, M], "items": float [I, d]}`, samplers may draw any item.
        proposal: The columns that `candidates` holds.
        seeds: int32 [1 or B, 2].
        history: Of the training set, where the sampler needs it.
    """
    has_layers = inputs["user"].shape.rank == 3
    layered = {
        name: one if has_layers else tf.expand_dims(one, -2)
        for name, one in inputs.items()
        if name in ("user", "positive", "candidates", "items")
    }
    user, positive = layered["user"], layered["positive"]
    rows = tf.shape(user)[0]
    if "items" in layered:
        candidates = inputs.get("candidate_ids")
        users, positives = inputs["user_ids"], inputs["positive_ids"]
        table = layered["items"]
    else:
        pool = layered.get("candidates")
        width = 0 if pool is None else pool.shape[1]
        parts = (
            [positive]
            if pool is None
            else [positive, tf.reshape(pool, tf.concat([[-1], tf.shape(pool)[2:]], 0))]
        )
        # The positives come first: in-batch negatives are numbers below B.
        table = tf.concat(parts, axis=0)
        users = inputs.get("user_ids", tf.range(rows))
        positives = tf.range(rows)
        candidates = rows + tf.reshape(tf.range(rows * width), [rows, width])
    if candidates is None:
        candidates = tf.zeros([rows, 0], tf.int64)
    return CandidateView(
        users=users,
        positives=positives,
        candidates=candidates,
        seeds=seeds,
        proposal=proposal,
        user_emb=user,
        positive_emb=positive,
        item=lambda ids: tf.gather(table, ids),
        readout=lambda emb: tf.squeeze(emb, -2) if emb.shape[-2] == 1 else tf.reduce_mean(emb, -2),
        history=history,
    )
