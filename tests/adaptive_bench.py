"""A small model with known vectors, and views over it, for samplers that keep state."""

import numpy as np
import tensorflow as tf

from tf_autosample.batches.pipeline import training_batches
from tf_autosample.batches.proposals import ComplementSampler, Proposal, SeenPairs
from tf_autosample.data.interactions import Interactions
from tf_autosample.models import MatrixFactorization
from tf_autosample.models.optimizers import LazyAdam
from tf_autosample.samplers import CandidateView

NUM_USERS, NUM_ITEMS, DIM = 12, 40, 4


def small_log(seed=0):
    """Each user has chosen 8 of the 40 items."""
    rng = np.random.default_rng(seed)
    items = [rng.permutation(NUM_ITEMS)[:8] for _ in range(NUM_USERS)]
    users = np.repeat(np.arange(NUM_USERS), 8)
    return Interactions(users, np.concatenate(items), NUM_USERS, NUM_ITEMS)


class Bench:
    """A matrix factorization around `sampler`, adapted to `log`; random vectors unless given."""

    def __init__(self, sampler, log=None, user_emb=None, item_emb=None, scale=1.0):
        self.sampler, self.log = sampler, log or small_log()
        rng = np.random.default_rng(1)
        shapes = (self.log.num_users, DIM), (self.log.num_items, DIM)
        drawn = [scale * rng.normal(size=shape) for shape in shapes]
        self.user_emb = np.float32(drawn[0] if user_emb is None else user_emb)
        self.item_emb = np.float32(drawn[1] if item_emb is None else item_emb)
        self.model = MatrixFactorization(
            self.log.num_users, self.log.num_items, sampler, dim=self.user_emb.shape[1]
        )
        self.set_vectors(self.user_emb, self.item_emb)
        self.model.adapt(self.log)
        self._uniform = ComplementSampler(self.log)

    def set_vectors(self, user_emb, item_emb):
        self.model.users.embeddings.assign(user_emb)
        self.model.items.embeddings.assign(item_emb)

    @property
    def scores(self):
        """float [U, I]."""
        return self.user_emb @ self.item_emb.T

    def batch(self, users, key=7, candidates=None, positives=None):
        users = np.asarray(users, "int32")
        if candidates is None:
            candidates = self._uniform.draw(users, self.sampler.proposal.uniform, [key, 0])
        if positives is None:
            positives = [self.log.histories[user][0] for user in users]
        seeds = np.stack([np.full(len(users), key), np.arange(len(users))], axis=1)
        columns = {"positives": positives, "candidates": candidates, "seeds": seeds}
        return {"users": np.int64(users)} | {name: np.int64(one) for name, one in columns.items()}

    def view(self, users, key=7, candidates=None, positives=None):
        batch = self.batch(users, key, candidates, positives)
        batch = {name: tf.constant(one) for name, one in batch.items()}
        encode = self.model.encode()
        return CandidateView(
            **batch,
            proposal=Proposal(uniform=batch["candidates"].shape[1]),
            user_emb=encode.user(batch["users"]),
            positive_emb=encode.item(batch["positives"]),
            item=encode.item,
            readout=self.model.vectors,
            history=SeenPairs.of(self.log),
        )

    def drawn(self, users, **options):
        """The items that the sampler draws: int64 [B], or [B, P] of several."""
        items = self.sampler.draw(self.view(users, **options)).items.numpy()
        return items[:, 0] if items.shape[1] == 1 else items


def fitted(sampler, epochs=3, log=None):
    """A model trained on the small log with two batches an epoch, and its losses."""
    log = log or small_log()
    model = MatrixFactorization(NUM_USERS, NUM_ITEMS, sampler, dim=DIM, l2=0.0)
    model.compile(LazyAdam(0.1))
    batches = training_batches(log, 48, model.sampler.proposal, seed=5)
    history = model.fit(batches, epochs=epochs, verbose=0)
    return model, history.history["loss"]
