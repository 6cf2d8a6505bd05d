"""Interactions, their ids, splits and sources. Loads no TensorFlow."""

from tf_autosample.data import datasets as datasets
from tf_autosample.data.interactions import DataError as DataError
from tf_autosample.data.interactions import Interactions as Interactions
from tf_autosample.data.parts import Parts as Parts
from tf_autosample.data.parts import split_parts as split_parts
from tf_autosample.data.reading import InteractionData as InteractionData
from tf_autosample.data.reading import read_interactions as read_interactions
from tf_autosample.data.splitting import split_last as split_last
from tf_autosample.data.splitting import split_random as split_random
from tf_autosample.data.splitting import split_time as split_time
from tf_autosample.data.vocabulary import Vocabulary as Vocabulary
