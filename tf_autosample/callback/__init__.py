"""The search as a Keras callback."""

from tf_autosample.callback.auto_sample import AutoSample as AutoSample
