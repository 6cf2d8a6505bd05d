"""What every sampler keeps to, as tests that a subclass inherits."""

import keras
import numpy as np
import tensorflow as tf

from tf_autosample.batches.proposals import Proposal
from tf_autosample.samplers import Traits
from tf_autosample.testing.bench import LOG, NUM_ITEMS, Bench, decided, drawn_by
from tf_autosample.testing.layers import LayerContract

KINDS = {"pairwise", "softmax"}


class SamplerContract(LayerContract):
    """Tests of a sampler or a mixture: of its two moves, its state, its traits and its call.

    Attributes:
        is_random: Whether it draws in the step, from the seeds of the batch.
        roams: Whether it names items that stand in none of its candidate columns.
    """

    is_random = False
    roams = False

    def bench(self, **sizes) -> Bench:
        """A batch with more candidate columns than the sampler looks at."""
        proposal = self.make().proposal
        powers = {*proposal.popularity, -0.25}
        return Bench(Proposal(proposal.uniform + 8, tuple(sorted(powers))), **sizes)

    def outcome(self, bench: Bench, make=None, run=None, **changes) -> list[np.ndarray]:
        """What a new sampler decides on a batch, and the state that it is left in."""
        sampler = bench.ready((make or self.make)())
        if run is None:
            found = decided(*sampler.negatives(bench.view(sampler, **changes)))
        else:
            found = run(sampler)
        return [np.asarray(one) for one in [*found, *sampler.variables]]

    def test_it_draws_items_outside_the_histories(self):
        for layers in (1, 2):
            bench = self.bench(rows=50, layers=layers)
            sampler = bench.ready(self.make())
            for drawn in drawn_by(sampler, bench.view(sampler)):
                assert drawn.items.dtype == tf.int64 and drawn.items.shape.rank in (1, 2)
                items = np.asarray(drawn.items)
                assert 0 <= items.min() and items.max() < NUM_ITEMS
                items = np.broadcast_to(items, (50, items.shape[-1]))  # shared ones, row by row
                histories = [LOG.histories[user] for user in bench.batch["users"]]
                is_seen = [np.isin(*row) for row in zip(items, histories, strict=True)]
                is_left_out = False if drawn.excluded is None else np.asarray(drawn.excluded)
                assert not (is_seen & ~np.bool_(is_left_out)).any()

    def test_it_draws_from_its_own_columns_unless_it_roams(self):
        bench = self.bench(rows=50)
        sampler = bench.ready(self.make())
        candidates = bench.batch["candidates"][:, bench.columns_of(sampler.proposal)]
        items = [one.items for one in drawn_by(sampler, bench.view(sampler))]
        items = np.concatenate([np.broadcast_to(one, (50, one.shape[-1])) for one in items], axis=1)
        strangers = [set(row) - set(own) for row, own in zip(items, candidates, strict=True)]
        assert any(strangers) == self.roams

    def test_drawing_carries_no_gradient_and_reads_no_other_columns(self):
        bench = self.bench()
        sampler, user_emb = bench.ready(self.make()), tf.constant(bench.user_emb)
        with tf.GradientTape() as tape:
            tape.watch(user_emb)
            drawn = drawn_by(sampler, bench.view(sampler, user_emb=user_emb))
            given = [*(one.weights for one in drawn), *(one.log_q for one in drawn)]
            total = sum(tf.reduce_sum(one**2) for one in given if one is not None) + tf.zeros([])
        assert tape.gradient(total, user_emb) is None
        others = bench.batch["candidates"].copy()
        unread = np.setdiff1d(np.arange(others.shape[1]), bench.columns_of(sampler.proposal))
        others[:, unread] = 0
        _assert_same(self.outcome(bench, candidates=others), self.outcome(bench))

    def test_forming_has_a_finite_gradient_to_what_was_drawn_alone(self):
        for layers in (1, 2):
            bench = self.bench(layers=layers)
            sampler, table = bench.ready(self.make()), tf.constant(bench.item_table)
            with tf.GradientTape() as tape:
                tape.watch(table)
                formed, negatives = sampler.negatives(bench.view(sampler, item_table=table))
                total = tf.reduce_sum(formed.embeddings)
            reached = np.asarray(tf.convert_to_tensor(tape.gradient(total, table)))
            assert np.isfinite(formed.embeddings).all() and np.isfinite(reached).all()
            is_reached = np.abs(reached).max(axis=(1, 2)) > 0
            assert is_reached.any()
            assert set(np.flatnonzero(is_reached)) <= set(np.ravel(negatives.items))

    def test_it_depends_on_the_seeds_of_the_batch_only_where_it_draws(self):
        bench = self.bench(rows=50)
        first, again = (self.outcome(bench) for _ in range(2))
        for one, other in zip(first, again, strict=True):
            np.testing.assert_array_equal(one, other)
        other = self.outcome(bench, seeds=bench.batch["seeds"] + np.int32([1, 0]))
        differs = any((one != two).any() for one, two in zip(first, other, strict=True))
        assert differs == self.is_random

    def test_its_config_brings_it_back(self):
        sampler, bench = self.make(), self.bench()
        config = keras.saving.serialize_keras_object(sampler)
        keras.saving.deserialize_keras_object(config)  # must leave the config as it was
        copy = keras.saving.deserialize_keras_object(config)
        assert type(copy) is type(sampler) and copy.get_config() == sampler.get_config()
        assert copy.traits == sampler.traits and copy.name == sampler.name
        _assert_same(self.outcome(bench, lambda: copy), self.outcome(bench))

    def test_it_decides_the_same_in_a_graph_and_in_a_dataset(self):
        bench = self.bench()

        def in_graph(sampler):
            return tf.function(lambda: decided(*sampler.negatives(bench.view(sampler))))()

        def in_dataset(sampler):
            def decide(batch):
                return tuple(decided(*sampler.negatives(bench.view(sampler, **batch))))

            return next(iter(tf.data.Dataset.from_tensors(bench.batch).map(decide)))

        expected = self.outcome(bench)
        _assert_same(self.outcome(bench, run=in_graph), expected)
        _assert_same(self.outcome(bench, run=in_dataset), expected)

    def test_its_state_is_made_once_and_can_be_adapted_again(self):
        bench = self.bench()
        sampler = bench.ready(self.make())
        before = [one.shape for one in sampler.variables]
        try:
            bench.ready(sampler)
        except ValueError as error:
            assert "another model trains with" in str(error)
        else:
            raise AssertionError("One sampler must not get state twice.")
        sampler.adapt(LOG)
        sampler.refresh(bench, 1)
        assert [one.shape for one in sampler.variables] == before

    def test_its_traits_tell_what_it_gives_and_costs(self):
        bench = self.bench(rows=50)
        sampler = bench.ready(self.make())
        view = bench.view(sampler)
        formed, negatives = sampler.negatives(view)
        traits = sampler.traits
        assert isinstance(traits, Traits) and isinstance(hash(traits), int)
        assert traits.loss_kinds and set(traits.loss_kinds) <= KINDS
        assert 1 <= traits.selectivity < float("inf")
        assert traits.ladder is None or isinstance(traits.ladder[1], float)
        is_shared = negatives.items.shape.rank == 1
        assert is_shared == (traits.num_negatives is None)
        count = () if traits.num_negatives in (None, 1) else (traits.num_negatives,)
        rows = negatives.items.shape[0]  # S where they are shared
        assert formed.embeddings.shape == (rows, *count, *bench.user_emb.shape[1:])
        assert is_shared or rows == 50
        if negatives.weights is not None:
            assert negatives.weights.shape == (50, traits.num_negatives)
            np.testing.assert_allclose(np.sum(negatives.weights, axis=1), 1, rtol=1e-5)
        if not traits.is_synthetic:
            own = tf.reshape(tf.gather(bench.item_table, negatives.items), formed.embeddings.shape)
            np.testing.assert_array_equal(formed.embeddings, own)
        if not is_shared:
            ids = [np.reshape(one, (50, -1)) for one in bench.looked_up]
            assert max(map(len, map(set, np.concatenate(ids, axis=1)))) <= traits.cost

    def test_it_asks_for_ids_if_it_says_so(self):
        bench, sampler = self.bench(), self.make()
        inputs = bench.inputs(sampler, by_ids=False)
        refused = False
        try:
            sampler(inputs)
        except ValueError as error:
            refused = True
            assert "ids" in str(error)
        assert refused == sampler.traits.needs_ids


def _assert_same(found, expected):
    assert len(found) == len(expected)
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)
