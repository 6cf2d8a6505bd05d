"""Negative samplers: each decides which item a user did not choose."""

from tf_autosample.samplers.base import CandidateSampler as CandidateSampler
from tf_autosample.samplers.base import NegativeSampler as NegativeSampler
from tf_autosample.samplers.chain import ChainSampler as ChainSampler
from tf_autosample.samplers.contract import Formed as Formed
from tf_autosample.samplers.contract import ModelSize as ModelSize
from tf_autosample.samplers.contract import Negatives as Negatives
from tf_autosample.samplers.contract import Traits as Traits
from tf_autosample.samplers.dynamic import DynamicSampler as DynamicSampler
from tf_autosample.samplers.factor import FactorSampler as FactorSampler
from tf_autosample.samplers.gated import AugmentedSampler as AugmentedSampler
from tf_autosample.samplers.gated import DisentangledSampler as DisentangledSampler
from tf_autosample.samplers.in_batch import InBatchSampler as InBatchSampler
from tf_autosample.samplers.in_batch import MixedSampler as MixedSampler
from tf_autosample.samplers.ladder import hardness_ladder as hardness_ladder
from tf_autosample.samplers.memory import MemorySampler as MemorySampler
from tf_autosample.samplers.mixing import DimensionMixupSampler as DimensionMixupSampler
from tf_autosample.samplers.mixing import MixGCFSampler as MixGCFSampler
from tf_autosample.samplers.mixture import SamplerMixture as SamplerMixture
from tf_autosample.samplers.mixture import Samplers as Samplers
from tf_autosample.samplers.ranked import AdaptiveHardnessSampler as AdaptiveHardnessSampler
from tf_autosample.samplers.ranked import TopSampler as TopSampler
from tf_autosample.samplers.static import PopularitySampler as PopularitySampler
from tf_autosample.samplers.static import UniformSampler as UniformSampler
from tf_autosample.samplers.view import CandidateView as CandidateView
from tf_autosample.samplers.weighted import ResamplingSampler as ResamplingSampler
from tf_autosample.samplers.weighted import SoftmaxSampler as SoftmaxSampler
