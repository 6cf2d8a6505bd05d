"""Data, models and batches that train in a moment."""

import keras
import numpy as np
import tensorflow as tf

from tf_autosample.batches.pipeline import training_batches
from tf_autosample.data.interactions import Interactions
from tf_autosample.models import Encoders, MatrixFactorization, RetrievalModel
from tf_autosample.models.optimizers import LazyAdam
from tf_autosample.samplers import DynamicSampler, PopularitySampler, UniformSampler
from tf_autosample.samplers.mixture import SamplerMixture

NUM_USERS, NUM_ITEMS = 40, 44


def checkerboard():
    """Even users choose even items, odd ones odd items; 3 of the 22 of each are held out."""
    users, items = np.divmod(np.arange(NUM_USERS * NUM_ITEMS), NUM_ITEMS)
    same = users % 2 == items % 2
    held_out = same & ((items // 2 + users // 2) % 22 < 3)
    return [
        Interactions(users[part], items[part], NUM_USERS, NUM_ITEMS)
        for part in (same & ~held_out, held_out)
    ]


TRAIN, TEST = checkerboard()  # 760 and 120 pairs


def three(**options) -> SamplerMixture:
    samplers = [UniformSampler(), DynamicSampler(4), PopularitySampler(0.5)]
    return SamplerMixture(samplers, **options)


def build_model(sampler=None, *, kind=MatrixFactorization, optimizer=None, eager=False, **options):
    options = {"dim": 4, "l2": 0.0, "seed": 1} | options
    model = kind(NUM_USERS, NUM_ITEMS, sampler or DynamicSampler(4), **options)
    model.compile(optimizer or LazyAdam(0.05), run_eagerly=eager)
    return model


def batches_for(model, *, seed=3, batch_size=200, placement="step"):
    picker = model if placement == "pipeline" else None
    proposal = model.sampler.proposal
    return training_batches(
        TRAIN, batch_size, proposal, seed=seed, placement=placement, model=picker
    )


def tables(model) -> list[np.ndarray]:
    return [emb.numpy() for emb in model.final_embeddings()]


@keras.saving.register_keras_serializable(package="tests")
class TwoLayers(RetrievalModel):
    """Layer 0 is a row of a table, layer 1 its tanh."""

    def __init__(self, num_users, num_items, sampler, *, dim=4, seed=0, **kwargs):
        super().__init__(num_users, num_items, sampler, **kwargs)
        rng = np.random.default_rng(seed)
        self.user_table = self.add_weight(shape=(num_users, dim), name="user_table")
        self.item_table = self.add_weight(shape=(num_items, dim), name="item_table")
        for table in (self.user_table, self.item_table):
            table.assign(rng.normal(0, 0.3, table.shape))
        self.built = True

    def encode(self, training=False):
        def layers(table):
            def encode(ids):
                emb = tf.gather(table.value, ids)
                return tf.stack([emb, tf.tanh(emb)], axis=-2)

            return encode

        return Encoders(layers(self.user_table), layers(self.item_table))
