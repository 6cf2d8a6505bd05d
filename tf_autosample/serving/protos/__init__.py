"""Messages of the TensorFlow Serving API under a name of our own; see tf_serving.proto."""
