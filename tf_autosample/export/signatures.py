"""What an exported model answers: the signatures by name, shared with the client.

Free of TensorFlow. B rows, k results, E excluded, H items of a visitor, N items to score, d
embedding size. Ids are string or int64, as in the data; everything else is fixed here.
"""

import dataclasses

from tf_autosample.data.vocabulary import PADDING

__all__ = ["INDEX_NAMES", "PADDING", "PADDING_SCORE", "SIGNATURES", "Signature"]

INDEX_NAMES = ("exact", "ivf")  # how the best items are found

# The lowest float32 and not -inf, which JSON cannot carry. No real score is as low: export
# refuses embeddings whose products could leave float32.
PADDING_SCORE = -3.4028234663852886e38


@dataclasses.dataclass(frozen=True)
class Signature:
    """Names of what goes in and what comes out, each with its shape."""

    inputs: dict[str, str]
    outputs: dict[str, str]


_RANKING = {"item_ids": "[B, k]", "scores": "[B, k]"}

SIGNATURES = {
    "serving_default": Signature({"user_id": "[B]"}, {**_RANKING, "known_user": "[B]"}),
    "recommend": Signature(
        {"user_id": "[B]", "exclude_ids": "[B, E]", "k": "[]"},
        {**_RANKING, "known_user": "[B]"},
    ),
    "recommend_from_items": Signature({"item_ids": "[B, H]"}, {**_RANKING, "known_user": "[B]"}),
    "similar_items": Signature({"item_id": "[B]", "k": "[]"}, {**_RANKING, "known_item": "[B]"}),
    "score": Signature(
        {"user_id": "[B]", "item_ids": "[B, N]"},
        {"scores": "[B, N]", "known_user": "[B]", "known_item": "[B, N]"},
    ),
    "user_embedding": Signature({"user_id": "[B]"}, {"embedding": "[B, d]", "known_user": "[B]"}),
    "item_embedding": Signature({"item_id": "[B]"}, {"embedding": "[B, d]", "known_item": "[B]"}),
}
