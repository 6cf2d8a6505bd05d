"""What every retrieval model keeps to, as tests that a subclass inherits."""

import keras
import numpy as np
import tensorflow as tf

from tf_autosample.batches.pipeline import training_batches
from tf_autosample.models.optimizers import LazyAdam
from tf_autosample.samplers import DynamicSampler, MixGCFSampler, SamplerMixture
from tf_autosample.testing.bench import LOG, NUM_ITEMS, NUM_USERS


class ModelContract:
    """Tests of a subclass of `RetrievalModel`.

    Attributes:
        learning_rate: At which the loss falls within 10 epochs of 4 steps. Defaults to 0.05.
    """

    learning_rate = 0.05

    def make(self, interactions, sampler):
        """Returns a new model that trains with the sampler, always from the same start."""
        raise NotImplementedError(f"{type(self).__name__} must define `make(...)`.")

    def trained(self, *, epochs: int = 2, in_graph: bool = False):
        """A model and its losses by epoch; tracing takes longer than a few steps without it."""
        model = self.make(LOG, DynamicSampler(4))
        return model, self.fit(model, epochs=epochs, in_graph=in_graph)

    def fit(self, model, *, epochs: int = 2, in_graph: bool = False) -> list[float]:
        """Trains a model on four batches an epoch."""
        model.compile(LazyAdam(self.learning_rate), run_eagerly=not in_graph)
        batches = training_batches(LOG, 60, model.sampler.proposal, seed=5)
        return model.fit(batches, epochs=epochs, verbose=0).history["loss"]

    def test_the_loss_falls(self):
        _, losses = self.trained(epochs=10, in_graph=True)
        assert np.isfinite(losses).all()
        assert losses[-1] < losses[0]

    def test_everything_trainable_moves(self):
        # The gradient of a blend's weights needs the vectors of several layers and samplers.
        model = self.make(LOG, SamplerMixture([MixGCFSampler(3), DynamicSampler(4)]))
        before = [one.numpy() for one in model.trainable_variables]
        self.fit(model)
        after = [one.numpy() for one in model.trainable_variables]
        still = [
            one.path
            for one, old, new in zip(model.trainable_variables, before, after, strict=True)
            if (old == new).all()
        ]
        assert still == []

    def test_it_trains_the_same_again(self):
        first, again = (self.trained() for _ in range(2))
        assert first[1] == again[1]
        for one, other in zip(vectors(first[0]), vectors(again[0]), strict=True):
            np.testing.assert_array_equal(one, other)

    def test_it_is_saved_and_loaded_with_the_same_vectors(self, tmp_path):
        model, _ = self.trained()
        model.save(tmp_path / "model.keras")
        loaded = keras.saving.load_model(tmp_path / "model.keras")
        assert [one.path for one in loaded.variables] == [one.path for one in model.variables]
        for one, other in zip(vectors(loaded), vectors(model), strict=True):
            np.testing.assert_array_equal(one, other)

    def test_its_final_vectors_are_those_that_it_encodes_and_scores_with(self):
        model, _ = self.trained()
        user_emb, item_emb = vectors(model)
        assert len(user_emb) == NUM_USERS and len(item_emb) == NUM_ITEMS
        users, items = tf.constant([3, 0, 3, NUM_USERS - 1]), tf.constant([5, 0, 7, NUM_ITEMS - 1])
        encode = model.encode()
        for ids, encoded, table in [
            (users, encode.user(users), user_emb),
            (items, encode.item(items), item_emb),
        ]:
            np.testing.assert_allclose(model.vectors(encoded), table[ids], rtol=1e-4, atol=1e-6)
        if encode.item_vectors is not None:
            found = encode.item_vectors(items)
            np.testing.assert_allclose(found, item_emb[items], rtol=1e-4, atol=1e-6)
        expected = [user_emb[u] @ item_emb[i] for u, i in zip(users, items, strict=True)]
        found = model({"users": users, "items": items})
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6)

    def test_its_encoders_keep_the_shape_of_the_ids_and_its_readout_drops_the_layers(self):
        model = self.make(LOG, DynamicSampler(4))
        size, encode = model.sampler.size, model.encode()
        for ids in ([4], [[1, 2, 1], [0, 5, 5]]):
            ids = tf.constant(ids, tf.int64)
            for encoder in (encode.user, encode.item):
                emb = encoder(ids)
                assert emb.shape == (*ids.shape, size.num_layers + 1, size.dim)
                assert model.vectors(emb).shape == (*ids.shape, size.final_dim)
                if model.normalize:
                    lengths = np.linalg.norm(model.vectors(emb), axis=-1)
                    np.testing.assert_allclose(lengths, 1, rtol=1e-4)


def vectors(model) -> list[np.ndarray]:
    """The final vectors of users and items."""
    return [np.asarray(one) for one in model.final_embeddings()]
