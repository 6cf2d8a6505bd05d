"""Contract suites for samplers and models of your own; pytest runs them, nothing here imports it.

>>> class TestMySampler(SamplerContract):
...     def make(self):
...         return MySampler(8)

>>> class TestMyModel(ModelContract):
...     def make(self, interactions, sampler):
...         return MyModel(interactions.num_users, interactions.num_items, sampler, seed=1)
"""

from tf_autosample.testing.bench import Bench as Bench
from tf_autosample.testing.models import ModelContract as ModelContract
from tf_autosample.testing.samplers import SamplerContract as SamplerContract
