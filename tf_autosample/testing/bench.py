"""Interactions, a model of random vectors and one batch of it, to try samplers on."""

import numpy as np
import tensorflow as tf

from tf_autosample.batches.proposals import Proposal, SeenPairs
from tf_autosample.data.interactions import Interactions
from tf_autosample.samplers import CandidateView, Formed, ModelSize, Negatives

NUM_USERS, NUM_ITEMS, DIM = 20, 60, 4


def two_tastes() -> Interactions:
    """Even users choose 12 of the 30 even items, odd users of the odd ones."""
    rng = np.random.default_rng(3)
    chosen = [2 * rng.choice(NUM_ITEMS // 2, 12, False) + user % 2 for user in range(NUM_USERS)]
    users = np.repeat(np.arange(NUM_USERS), 12)
    return Interactions(users, np.concatenate(chosen), NUM_USERS, NUM_ITEMS)


LOG = two_tastes()


class Bench:
    """A model of random embeddings in `layers` layers, a batch, and views of it.

    Args:
        proposal: What the candidate columns of the batch hold.
        rows: B.
        layers: L + 1.

    Attributes:
        batch: As `training_batches` gives it, of numpy arrays.
        user_emb: float32 [B, L+1, d].
        positive_emb: float32 [B, L+1, d].
        item_table: float32 [I, L+1, d].
        looked_up: The ids that were encoded, in order, as they were given.
    """

    def __init__(self, proposal: Proposal, rows: int = 6, layers: int = 2):
        rng = np.random.default_rng(0)
        self.proposal, self.layers = proposal, layers
        self.user_table, self.item_table = (
            rng.normal(size=(count, layers, DIM)).astype("float32")
            for count in (NUM_USERS, NUM_ITEMS)
        )
        shown = rng.integers(0, len(LOG), rows)
        users = LOG.users[shown]
        unseen = [np.setdiff1d(np.arange(NUM_ITEMS), LOG.histories[user]) for user in users]
        self.batch = {
            "users": np.int64(users),
            "positives": np.int64(LOG.items[shown]),
            "candidates": np.int64([rng.choice(items, proposal.num_columns) for items in unseen]),
            "seeds": np.stack([np.full(rows, 5), np.arange(rows)], axis=1).astype("int32"),
        }
        self.user_emb = self.user_table[users]
        self.positive_emb = self.item_table[self.batch["positives"]]
        self.looked_up = []

    def readout(self, emb):
        """The mean of the layers."""
        return tf.reduce_mean(emb, axis=-2)

    def final_embeddings(self):
        """float32 [U, d] and [I, d]."""
        return self.readout(self.user_table), self.readout(self.item_table)

    def ready(self, sampler):
        """Returns the sampler with its state, as a model has it when the first epoch begins."""
        sampler.create_state(ModelSize(NUM_USERS, NUM_ITEMS, self.layers - 1, DIM))
        sampler.adapt(LOG)
        sampler.refresh(self, 0)
        return sampler

    def columns_of(self, proposal: Proposal) -> list[int]:
        """Where the columns that a sampler asks for stand among those of the batch."""
        powers = [
            self.proposal.uniform + self.proposal.popularity.index(power)
            for power in proposal.popularity
        ]
        return [*range(proposal.uniform), *powers]

    def view(self, sampler, *, user_emb=None, item_table=None, **changes) -> CandidateView:
        """The batch, or other columns of it, as a sampler is shown it."""
        batch = {name: tf.convert_to_tensor(one) for name, one in {**self.batch, **changes}.items()}
        table = self.item_table if item_table is None else item_table

        def encode_item(ids):
            self.looked_up.append(ids)
            return tf.gather(table, ids)

        return CandidateView(
            **batch,
            proposal=self.proposal,
            num_scored=getattr(sampler, "num_scored", sampler.proposal.uniform),
            user_emb=tf.gather(self.user_table, batch["users"]) if user_emb is None else user_emb,
            positive_emb=tf.gather(self.item_table, batch["positives"]),
            item=encode_item,
            readout=self.readout,
            history=SeenPairs.of(LOG),
        )

    def inputs(self, sampler, *, by_ids: bool | None = None) -> dict[str, np.ndarray]:
        """What the sampler is called with as a layer: by ids where it needs them, or if told so."""
        columns = self.columns_of(sampler.proposal)
        candidates = self.batch["candidates"][:, columns]
        inputs = {"user": self.user_emb, "positive": self.positive_emb}
        inputs["seeds"] = self.batch["seeds"]
        if sampler.traits.needs_ids if by_ids is None else by_ids:
            inputs |= {"user_ids": self.batch["users"], "positive_ids": self.batch["positives"]}
            inputs |= {"candidate_ids": candidates, "items": self.item_table}
        else:
            inputs["candidates"] = self.item_table[candidates]
        if self.layers == 1:
            vectors = {"user", "positive", "candidates", "items"} & inputs.keys()
            inputs |= {name: inputs[name][..., 0, :] for name in vectors}
        return inputs


def drawn_by(sampler, view: CandidateView) -> list[Negatives]:
    """What a sampler draws, or each of a mixture's."""
    drawn = sampler.draw(view)
    return [Negatives(**one) for one in drawn.values()] if isinstance(drawn, dict) else [drawn]


def decided(formed: Formed, negatives: Negatives) -> list:
    """All that a sampler says about a batch: tensors."""
    return [one for one in (*formed, *negatives) if one is not None]
