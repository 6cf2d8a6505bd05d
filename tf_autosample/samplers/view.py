"""What a sampler may look at: a batch, its candidates, and their scores."""

import zlib
from collections.abc import Callable
from functools import cached_property

import tensorflow as tf

from tf_autosample.batches.draws import fold_in
from tf_autosample.batches.proposals import Proposal, SeenPairs


class CandidateView:
    """A batch as samplers see it.

    Everything but ids and the embeddings of users and positives is computed when first asked for
    and then shared by all samplers, so that a sampler which needs no scores costs none. Scores,
    candidates and pooled vectors carry no gradient: the [B, M, d] embeddings of the candidates
    never enter the backward pass. Scores are float32 whatever the precision of the vectors, so
    that laws which compare, divide or take logarithms of them hold in mixed precision.

    Attributes:
        user_emb: float [B, L+1, d], per layer, with gradient.
        positive_emb: float [B, L+1, d], per layer, with gradient.
        item: ids [...] -> float [..., L+1, d], with gradient.
        readout: Drops the layer axis, with gradient: float [..., L+1, d] -> [..., d'].
        history: Tells which items are in a user's history, for `(users, items) -> bool`.
    """

    def __init__(
        self,
        *,
        users=None,
        positives=None,
        candidates=None,
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
            users: int [B]. These and what follows may be left out where no sampler asks.
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
        given = {"users": users, "positives": positives, "candidates": candidates}
        self._ids = {name: tf.cast(ids, tf.int64) for name, ids in given.items() if ids is not None}
        self.user_emb, self.positive_emb = user_emb, positive_emb
        self.item, self.readout, self._history = item, readout, history
        self._proposal, self._seeds, self._item_vectors = proposal, seeds, item_vectors
        self._num_scored = proposal.uniform if num_scored is None else num_scored

    @property
    def users(self):
        """int64 [B]."""
        return self._ids_of("users")

    @property
    def positives(self):
        """int64 [B]."""
        return self._ids_of("positives")

    @cached_property
    def candidates(self):
        """The uniform candidates, int64 [B, M]."""
        return self._ids_of("candidates")[:, : self._num_scored]

    def _ids_of(self, name: str):
        if name not in self._ids:
            raise ValueError(
                f"The sampler looks at the ids of {name}. Received: none. Call it with "
                '"user_ids", "positive_ids", "candidate_ids" and "items" beside the vectors.'
            )
        return self._ids[name]

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
    def _query(self):
        return tf.stop_gradient(self.readout(self.user_emb))

    @property
    def user_vectors(self):
        """Final vectors of the users, float32 [B, d']."""
        return tf.cast(self._query, tf.float32)

    @cached_property
    def positive_scores(self):
        """Scores of the positives, float32 [B]."""
        vectors = tf.stop_gradient(self.readout(self.positive_emb))
        return tf.cast(tf.reduce_sum(self._query * vectors, axis=-1), tf.float32)

    @cached_property
    def scores(self):
        """Scores of the uniform candidates, float32 [B, M]."""
        if self._item_vectors is None:
            return self._score(self.readout(self.candidate_emb))
        return self.score_items(self.candidates)

    @cached_property
    def layer_scores(self):
        """Scores of each layer of the uniform candidates, float32 [B, M, L+1].

        Of a lone layer they are `scores`, so that no sampler computes them again.
        """
        if self.user_emb.shape[1] == 1:
            return self.scores[..., None]
        query = tf.stop_gradient(self.layer_query())
        if query.shape[1] == 1:  # the user's axis last spares a copy of the candidates
            scores = tf.einsum("bd,bmld->bml", query[:, 0], self.candidate_emb)
        else:
            scores = tf.einsum("bld,bmld->bml", query, self.candidate_emb)
        return tf.cast(scores, tf.float32)

    def layer_query(self):
        """What a layer of an item is scored against, with gradient: [B, 1 or L+1, d].

        The user's final vector, or the user's own layer where the readout joins the layers into
        a longer vector.
        """
        vectors = self.readout(self.user_emb)
        joins = vectors.shape[-1] != self.user_emb.shape[-1]
        return self.user_emb if joins else vectors[:, None]

    def score_items(self, items):
        """Scores of other items than the candidates: int [B, N] -> float32 [B, N]."""
        if self._item_vectors is None:
            vectors = self.readout(self.item(items))
        else:
            vectors = self._item_vectors(items)
        return self._score(tf.stop_gradient(vectors))

    def _score(self, vectors):
        return tf.cast(tf.linalg.matvec(vectors, self._query), tf.float32)

    def popular(self, power: float):
        """Items drawn with probability ∝ max(count, 1)^power, int64 [B]."""
        column = self._proposal.uniform + self._proposal.popularity.index(power)
        return self._ids_of("candidates")[:, column]

    def take(self, columns):
        """Items in the given columns, int [B, P] -> int64 [B, P]."""
        return tf.gather(self.candidates, columns, batch_dims=1)

    def seed(self, name: str):
        """A seed int32 [2] for `batches.draws`, its own for each batch and name."""
        return fold_in(self._seeds[0], zlib.crc32(name.encode()) & 0x7FFFFFFF)


def mean_of_layers(emb):
    """Drops the layer axis, float [..., L+1, d] -> [..., d]; of a lone layer without a copy."""
    return tf.squeeze(emb, -2) if emb.shape[-2] == 1 else tf.reduce_mean(emb, axis=-2)


def view_of_tensors(inputs, proposal: Proposal, seeds, history: SeenPairs | None) -> CandidateView:
    """Returns the view of plain tensors, for samplers that are called as layers.

    Args:
        inputs: See `NegativeSampler`. Without ids the candidates are numbered row by row, and
            users and positives have no number.
        proposal: The columns that the candidates are in.
        seeds: int32 [1 or B, 2].
        history: Of the training set, where the sampler needs it.

    Raises:
        ValueError: If there is another number of candidates.
    """
    has_layers = inputs["user"].shape.rank == 3
    layered = {
        name: inputs[name] if has_layers else tf.expand_dims(inputs[name], -2)
        for name in ("user", "positive", "candidates", "items")
        if name in inputs
    }
    if "items" in inputs:
        table, candidates = layered["items"], inputs.get("candidate_ids")
    else:
        pool = layered["candidates"]
        table = tf.reshape(pool, [-1, *pool.shape[2:]])
        shape = tf.shape(pool, tf.int64)[:2]
        candidates = tf.reshape(tf.range(tf.reduce_prod(shape)), [-1, pool.shape[1]])
    if candidates is not None and candidates.shape[1] != proposal.num_columns:
        raise ValueError(
            f"The sampler looks at {proposal.num_columns} candidates per row, the columns of "
            f"its `proposal`. Received: candidates of shape {tuple(candidates.shape)}."
        )
    return CandidateView(
        users=inputs.get("user_ids"),
        positives=inputs.get("positive_ids"),
        candidates=candidates,
        seeds=seeds,
        proposal=proposal,
        user_emb=layered["user"],
        positive_emb=layered["positive"],
        item=lambda ids: tf.gather(table, ids),
        readout=mean_of_layers,
        history=history,
    )
