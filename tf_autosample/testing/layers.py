"""What a sampler does where it is called on plain tensors, as a Keras layer."""

import keras
import numpy as np
import tensorflow as tf

from tf_autosample.testing.bench import LOG, Bench

POLICIES = {"mixed_float16": "float16", "mixed_bfloat16": "bfloat16"}


class LayerContract:
    """Tests of a sampler's call; see `SamplerContract`."""

    def make(self):
        """Returns a new sampler, always with the same settings."""
        raise NotImplementedError(f"{type(self).__name__} must define `make()`.")

    def called(self, bench: Bench, **options) -> list[np.ndarray]:
        """What a new sampler gives as a layer, in the order of the outputs' names."""
        sampler = bench.ready(self.make())
        return _arrays(sampler(bench.inputs(sampler, **options)))

    def test_as_a_layer_it_gives_what_a_model_trains_on(self):
        for layers in (1, 2):
            bench = self.bench(layers=layers)
            sampler = bench.ready(self.make())
            formed, negatives = sampler.negatives(bench.view(sampler))
            emb = formed.embeddings[..., 0, :] if layers == 1 else formed.embeddings
            expected = {"negatives": emb, **negatives._asdict()}
            del expected["items"]
            expected = _arrays({name: one for name, one in expected.items() if one is not None})
            for by_ids in {True, sampler.traits.needs_ids}:
                found = self.called(bench, by_ids=by_ids)
                assert found[0].shape == expected[0].shape
                _assert_close(found, expected)

    def test_as_a_layer_it_has_a_gradient(self):
        bench = self.bench()
        sampler = bench.ready(self.make())
        inputs = {name: tf.constant(one) for name, one in bench.inputs(sampler).items()}
        vectors = [one for one in inputs.values() if one.dtype.is_floating]
        with tf.GradientTape() as tape:
            tape.watch(vectors)
            negatives = _negatives(sampler(inputs))
            loss = tf.reduce_sum(tf.square(negatives)) + sum(sampler.losses)
        found = tape.gradient(loss, [*vectors, *(one.value for one in sampler.trainable_variables)])
        found = [tf.convert_to_tensor(one) for one in found if one is not None]
        assert found and all(np.isfinite(one).all() for one in found)
        source = inputs["items"] if "items" in inputs else inputs["candidates"]
        assert any(one.shape == source.shape and np.abs(one).max() > 0 for one in found)

    def test_a_functional_model_with_it_is_saved_and_loaded(self, tmp_path):
        bench = self.bench(layers=1)
        sampler = bench.ready(self.make()) if self.make().traits.needs_ids else self.make()
        arrays = bench.inputs(sampler)
        sizes = {name: {"shape": one.shape[1:]} for name, one in arrays.items()}
        if "items" in arrays:
            sizes["items"] = {"batch_shape": arrays["items"].shape}
        inputs = {
            name: keras.Input(**size, dtype=str(arrays[name].dtype), name=name)
            for name, size in sizes.items()
        }
        model = keras.Model(inputs, sampler(inputs))
        model.save(tmp_path / "model.keras")
        expected = _arrays(model(arrays))
        loaded = keras.saving.load_model(tmp_path / "model.keras")
        (copy,) = (one for one in loaded.layers if type(one) is type(sampler))
        if copy.traits.needs_ids:
            copy.adapt(LOG)
        _assert_close(_arrays(loaded(arrays)), expected)

    def test_as_a_layer_it_does_the_same_in_a_dataset(self):
        bench = self.bench(layers=1)
        sampler = bench.ready(self.make())
        batch = bench.inputs(sampler)
        found = next(iter(tf.data.Dataset.from_tensors(batch).map(sampler)))
        _assert_close(_arrays(found), self.called(bench))

    def test_xla_compiles_it_where_it_says_so(self):
        bench = self.bench(layers=1)
        sampler = bench.ready(self.make())
        parts = sampler._flatten_layers()
        if all(one.supports_jit for one in parts):
            inputs = {name: tf.constant(one) for name, one in bench.inputs(sampler).items()}
            found = tf.function(sampler, jit_compile=True)(inputs)
            _assert_close(_arrays(found), self.called(bench))

    def test_in_mixed_precision_it_gives_finite_vectors_of_the_compute_dtype(self):
        before = keras.config.dtype_policy()
        for policy, dtype in POLICIES.items():
            try:
                keras.config.set_dtype_policy(policy)
                bench = self.bench()
                sampler = bench.ready(self.make())
                inputs = {name: tf.constant(one) for name, one in bench.inputs(sampler).items()}
                with tf.GradientTape() as tape:
                    tape.watch([inputs["user"], inputs["positive"]])
                    outputs = sampler(inputs)
                    loss = tf.reduce_sum(tf.cast(_negatives(outputs), "float32"))
                    loss += sum(tf.cast(one, "float32") for one in sampler.losses)
                reached = tape.gradient(loss, [inputs["user"], inputs["positive"]])
            finally:
                keras.config.set_dtype_policy(before)
            assert all(one.dtype == dtype for one in _tensors(outputs) if one.dtype.is_floating)
            given = [_negatives(outputs), *(one for one in reached if one is not None)]
            assert all(np.isfinite(tf.cast(one, "float32")).all() for one in given)


def _tensors(outputs) -> list:
    """The outputs in one order, which a model that was saved may have changed."""
    if not isinstance(outputs, dict):
        return [outputs]
    return [outputs[name] for name in sorted(outputs, key=lambda name: (name != "negatives", name))]


def _arrays(outputs) -> list[np.ndarray]:
    return [np.asarray(one) for one in _tensors(outputs)]


def _negatives(outputs):
    return _tensors(outputs)[0]


def _assert_close(found, expected):
    assert len(found) == len(expected)
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)
