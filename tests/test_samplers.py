import math

import numpy as np
import pytest
from contract import DRAWING, ROAMING, ROWS, SAMPLERS, bench_of

from tf_autosample.batches.proposals import Proposal
from tf_autosample.samplers import (
    DynamicSampler,
    FactorSampler,
    NegativeSampler,
    PopularitySampler,
    ResamplingSampler,
    SoftmaxSampler,
    UniformSampler,
)
from tf_autosample.testing import SamplerContract
from tf_autosample.testing.bench import DIM


class TestEverySampler(SamplerContract):
    @pytest.fixture(autouse=True, params=ROWS)
    def row(self, request):
        name = request.param
        self.make, self.is_random, self.roams = SAMPLERS[name], name in DRAWING, name in ROAMING


def test_cost_is_the_look_ups_per_positive():
    # SRNS looks at 3 + 6 items, MCNS at the start and 3 steps, AOBPR at 8 draws.
    costs = {"uniform": 1, "uniform3": 3, "popularity": 1, "dns8": 8, "dns2of5": 5, "ahns": 5}
    costs |= {"mixgcf": 5, "dins": 5, "dens": 5, "ans": 5, "softmax-v": 6, "adasir": 3}
    costs |= {"aobpr": 8, "srns": 9, "mcns": 4, "in-batch": 1, "mixed": 1}
    assert {name: SAMPLERS[name]().traits.cost for name in costs} == costs


def test_selectivity_is_how_many_candidates_compete_for_one_negative():
    expected = {"uniform": 1, "uniform3": 1, "popularity": 1, "in-batch": 1, "mixed": 1, "mcns": 1}
    expected |= {"dns8": 8, "dns2of5": 2.5, "ahns": 5, "mixgcf": 5, "dins": 5, "dens": 5, "ans": 5}
    assert {name: SAMPLERS[name]().traits.selectivity for name in expected} == expected
    # A mean rank of 0.05 of the catalogue is that of the best of 19 or 20.
    assert FactorSampler(0.05).traits.selectivity == pytest.approx(20)
    # Pools of 50 out of 200.
    assert ResamplingSampler(5, 50, 200).traits.selectivity == 4
    # At the distance rho = ln 4 from the uniform law a quarter of the candidates is left: uniform
    # on n / 4 of n items has the KL divergence ln 4. It cannot be less than one of them.
    assert SoftmaxSampler(math.log(4), 200).traits.selectivity == pytest.approx(4)
    assert SoftmaxSampler(1e6, 200).traits.selectivity == pytest.approx(200)


def scores_of(bench) -> np.ndarray:
    """float64 [B, M], by loops."""
    candidates = bench.batch["candidates"]
    found = np.empty(candidates.shape)
    for row, items in enumerate(candidates):
        for column, item in enumerate(items):
            user = bench.user_emb[row].astype("float64").mean(axis=0)
            found[row, column] = user @ bench.item_table[item].astype("float64").mean(axis=0)
    return found


@pytest.mark.parametrize("count", [1, 8, 32])
def test_dynamic_picks_the_highest_of_its_first_columns(count):
    bench = bench_of(rows=50)
    picked = DynamicSampler(count).draw(bench.view(DynamicSampler(32))).items[:, 0]
    best = [max(range(count), key=row.__getitem__) for row in scores_of(bench).tolist()]
    np.testing.assert_array_equal(picked, bench.batch["candidates"][np.arange(50), best])
    assert count < 32 or max(best) >= 8  # else the test would not tell 8 from 32


def test_dynamic_samplers_share_one_pool_and_more_candidates_are_harder():
    bench = bench_of(rows=50)
    view = bench.view(DynamicSampler(32))
    picks = [DynamicSampler(count).draw(view).items.numpy()[:, 0] for count in (1, 2, 8, 32)]
    assert len(bench.looked_up) == 1
    columns = bench.batch["candidates"], scores_of(bench)
    score = [dict(zip(*row, strict=True)) for row in zip(*columns, strict=True)]
    means = [np.mean([score[row][item] for row, item in enumerate(picked)]) for picked in picks]
    assert means == sorted(means) and len(set(means)) == 4


def test_scores_are_dot_products_of_the_readout():
    bench = bench_of()
    view = bench.view(DynamicSampler(8))
    assert view.scores.shape == (6, 8) and view.candidate_emb.shape == (6, 8, 2, DIM)
    np.testing.assert_allclose(view.scores, scores_of(bench)[:, :8], rtol=1e-5, atol=1e-6)
    users, positives = bench.user_emb.mean(axis=1), bench.positive_emb.mean(axis=1)
    expected = [user @ positive for user, positive in zip(users, positives, strict=True)]
    np.testing.assert_allclose(view.positive_scores, expected, rtol=1e-5)


@pytest.mark.parametrize("name", ["uniform", "popularity"])
def test_sampler_that_needs_no_score_encodes_no_candidate(name):
    sampler, bench = SAMPLERS[name](), bench_of()
    sampler.draw(bench.view(sampler))
    assert bench.looked_up == []


def test_uniform_and_popularity_pick_the_column_that_was_drawn_for_them():
    bench = bench_of()  # 40 uniform columns, then powers -0.5, 0.75 and 1
    expected = {UniformSampler(): 0, PopularitySampler(0.75): 41, PopularitySampler(1): 42}
    for sampler, column in expected.items():
        picked = sampler.draw(bench.view(sampler)).items[:, 0]
        np.testing.assert_array_equal(picked, bench.batch["candidates"][:, column])


def test_popularity_samplers_of_different_powers_have_different_names():
    names = [PopularitySampler(power).name for power in (0.75, -0.5, 1, 1.5)]
    assert names[0] == "popularity" and len(set(names)) == 4


def test_proposal_lists_the_columns_a_sampler_looks_at():
    assert UniformSampler().proposal == Proposal(1)
    assert DynamicSampler(5).proposal == Proposal(5)
    assert PopularitySampler(1).proposal == Proposal(0, (1.0,))


def test_dynamic_without_candidates_is_refused():
    with pytest.raises(ValueError, match="`num_candidates` must be >= 1"):
        DynamicSampler(0)


def test_sampler_without_draw_says_so():
    with pytest.raises(NotImplementedError, match=r"NegativeSampler must define `draw\(view\)`"):
        NegativeSampler().draw(None)
