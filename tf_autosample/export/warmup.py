"""One sample request per signature: they verify a model before it is published, then warm it up."""

import itertools
import pathlib

import numpy as np

from tf_autosample.data.vocabulary import Vocabulary
from tf_autosample.export.signatures import PADDING
from tf_autosample.export.tables import RetrievalTables

SAMPLES = 16  # known users and items per request, spread over the vocabulary


def sample_requests(tables: RetrievalTables, k: int) -> dict[str, dict[str, np.ndarray]]:
    """Return inputs by signature, with known and unknown ids, padding and exclusions.

    Every request ends in a row of unknown ids, so that both ways through the graph are taken.
    """
    user_id, item_id = _sample(tables.users), _sample(tables.items)
    padding = PADDING[tables.items.kind]
    popular = np.argsort(-tables.seen.popularity, kind="stable")[:2]
    excluded = [*tables.items.decode(popular).tolist(), item_id[-1], padding]
    # Row n holds items n and n + 1; the last row only what is unknown.
    lists = np.stack([item_id, np.append(item_id[1:-1], [item_id[-1]] * 2)], axis=1)
    exclude_ids = np.array([excluded] * len(user_id), item_id.dtype)
    counts = {"k": np.int32(k)}
    return {
        "serving_default": {"user_id": user_id},
        "recommend": {"user_id": user_id, "exclude_ids": exclude_ids, **counts},
        "recommend_from_items": {"item_ids": lists},
        "similar_items": {"item_id": item_id, **counts},
        "score": {"user_id": user_id, "item_ids": np.stack([item_id] * len(user_id))},
        "user_embedding": {"user_id": user_id},
        "item_embedding": {"item_id": item_id},
    }


def write_warmup(directory: pathlib.Path, model_name: str, requests: dict) -> None:
    """Write requests where TensorFlow Serving replays them before a version takes traffic."""
    import tensorflow as tf
    from tensorflow_serving.apis import predict_pb2, prediction_log_pb2

    extra = directory / "assets.extra"
    extra.mkdir(exist_ok=True)
    with tf.io.TFRecordWriter(str(extra / "tf_serving_warmup_requests")) as writer:
        for signature, inputs in requests.items():
            request = predict_pb2.PredictRequest()
            request.model_spec.name = model_name
            request.model_spec.signature_name = signature
            for key, value in inputs.items():
                request.inputs[key].CopyFrom(tf.make_tensor_proto(value))
            log = prediction_log_pb2.PredictLog(request=request)
            writer.write(prediction_log_pb2.PredictionLog(predict_log=log).SerializeToString())


def _sample(vocabulary: Vocabulary) -> np.ndarray:
    positions = np.linspace(0, len(vocabulary) - 1, min(SAMPLES, len(vocabulary))).astype(np.int64)
    if vocabulary.kind == "int":
        candidates = itertools.count(-2, -1)
    else:
        candidates = (f"unknown {n}" for n in itertools.count())
    unknown = next(c for c in candidates if vocabulary.encode([c], missing="negative")[0] < 0)
    known = vocabulary.decode(positions)
    return np.array([*known.tolist(), unknown], known.dtype)
