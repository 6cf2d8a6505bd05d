"""Loads a SavedModel as TensorFlow Serving does and answers requests: a program of its own.

    python -m tf_autosample.export.verify DIRECTORY < requests.json > answers.json

The requests are `{signature: {input: values}}`, the answers `{signature: {output: values}}`.
Nothing of the process that wrote the model is at hand here, so what answers is what was saved.
"""

import json
import sys


def answer(directory: str, requests: dict[str, dict]) -> dict[str, dict]:
    """Run requests through the graph loader, tag `serve`, a session and the signatures."""
    import tensorflow as tf

    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        model = tf.compat.v1.saved_model.loader.load(session, ["serve"], directory)
        answers = {}
        for name, inputs in requests.items():
            signature = model.signature_def[name]
            feeds = {signature.inputs[key].name: value for key, value in inputs.items()}
            fetches = {key: info.name for key, info in signature.outputs.items()}
            outputs = session.run(fetches, feeds)
            answers[name] = {key: _plain(value.tolist()) for key, value in outputs.items()}
    return answers


def _plain(value):
    if isinstance(value, list):
        return [_plain(part) for part in value]
    return value.decode() if isinstance(value, bytes) else value


if __name__ == "__main__":
    json.dump(answer(sys.argv[1], json.load(sys.stdin)), sys.stdout)
