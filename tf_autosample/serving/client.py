"""Client of a served retrieval model."""

import time
from collections.abc import Callable, Mapping

import numpy as np

from tf_autosample.data.checks import number
from tf_autosample.serving.errors import (
    DeadlineExceeded,
    InvalidRequest,
    ModelNotFound,
    ServerUnavailable,
    ServingError,
    SignatureNotFound,
    UnexpectedResponse,
)
from tf_autosample.serving.ids import IdRows, Ids, encode_id_rows, encode_ids, encode_k
from tf_autosample.serving.results import (
    Embeddings,
    ModelMetadata,
    RankedItems,
    Recommendations,
    Scores,
    SimilarItems,
    VersionStatus,
)
from tf_autosample.serving.rows import columns, ranking, scored
from tf_autosample.serving.tensors import as_input
from tf_autosample.serving.transport import open_transport

DEFAULT_SIGNATURE = "serving_default"
POLL_SECONDS = 0.1  # between two looks at a server that is starting


class ServingClient:
    """Asks a model server for recommendations, over gRPC or REST.

    Speaks to TensorFlow Serving and to `EmbeddedServer` alike, without importing TensorFlow. Keep
    one client per server and share it between threads; close it, or use it in a `with` statement.

    Ids are sequences of strings or of integers, as in the data of the model. A user the model does
    not know is no error: the answer holds the most popular items and `known_user` is false.

    >>> with ServingClient("127.0.0.1:8500", model="films") as client:  # doctest: +SKIP
    ...     client.recommend(["42"], k=5).item_ids

    Args:
        target: "host:port" for gRPC, "http://host:port" for REST.
        model: Name of the model: the folder that holds its version folders.
        timeout: Seconds that every call may take. gRPC's retries fall within them.

    Raises:
        ValueError: If `target` has neither form, `timeout` is not positive, or `model` no name.
    """

    def __init__(self, target: str, *, model: str = "retrieval", timeout: float = 5.0):
        if not isinstance(model, str) or not model:
            raise ValueError(
                "`model` must be the name of the folder that holds the version folders. "
                f"Received: model={model!r}."
            )
        self.target = target
        self.model = model
        self.timeout = number(above=0, timeout=timeout)
        self._transport = open_transport(target, model)

    def recommend(
        self, user_ids: Ids, k: int | None = None, exclude_ids: IdRows | None = None
    ) -> Recommendations:
        """The best items for each user, without those seen in training.

        Where fewer than `k` items are left for a user, that row of the answer is so much shorter.

        Args:
            user_ids: [B]. Strings or integers.
            k: Items per user. None gives as many as were fixed at the export.
            exclude_ids: One list of items per user to leave out as well, of any lengths. Items that
                repeat or are not known do no harm. Needs `k`.

        Raises:
            InvalidRequest: If ids are of the wrong type, or `k` is no positive integer.
            ServingError: See `serving.errors` for the others.
        """
        users = encode_ids("user_ids", user_ids)
        if k is None:
            if exclude_ids is not None:
                raise InvalidRequest("`exclude_ids` needs `k`, for example k=20.")
            outputs = self._ask(DEFAULT_SIGNATURE, {"user_id": users})
        else:
            rows = [[]] * len(users) if exclude_ids is None else exclude_ids
            excluded, _ = self._rows("exclude_ids", rows, "recommend", len(users))
            inputs = {"user_id": users, "exclude_ids": excluded, "k": encode_k(k)}
            outputs = self._ask("recommend", inputs)
        return Recommendations(users, *self._read(ranking, outputs, len(users), "known_user"))

    def recommend_from_items(self, item_ids: IdRows) -> RankedItems:
        """The best items for visitors of whom only some chosen items are known.

        Args:
            item_ids: One list of chosen items per visitor, of any lengths.
        """
        rows, _ = self._rows("item_ids", item_ids, "recommend_from_items")
        outputs = self._ask("recommend_from_items", {"item_ids": rows})
        return RankedItems(*self._read(ranking, outputs, len(rows), "known_user"))

    def similar_items(self, item_ids: Ids, k: int = 10) -> SimilarItems:
        """The items nearest to each given item."""
        items = encode_ids("item_ids", item_ids)
        outputs = self._ask("similar_items", {"item_id": items, "k": encode_k(k)})
        return SimilarItems(items, *self._read(ranking, outputs, len(items), "known_item"))

    def score(self, user_ids: Ids, item_ids: IdRows) -> Scores:
        """Scores of given items for given users.

        Args:
            user_ids: [B].
            item_ids: One list of items per user, of any lengths. The scores are as many.
        """
        users = encode_ids("user_ids", user_ids)
        rows, lengths = self._rows("item_ids", item_ids, "score", len(users))
        outputs = self._ask("score", {"user_id": users, "item_ids": rows})
        return Scores(*self._read(scored, outputs, lengths))

    def user_embedding(self, user_ids: Ids) -> Embeddings:
        """Vectors of users."""
        users = encode_ids("user_ids", user_ids)
        outputs = self._ask("user_embedding", {"user_id": users})
        return Embeddings(
            users, *self._read(columns, outputs, len(users), "embedding", "known_user")
        )

    def item_embedding(self, item_ids: Ids) -> Embeddings:
        """Vectors of items."""
        items = encode_ids("item_ids", item_ids)
        outputs = self._ask("item_embedding", {"item_id": items})
        return Embeddings(
            items, *self._read(columns, outputs, len(items), "embedding", "known_item")
        )

    def predict(
        self, inputs: Mapping[str, object], signature: str = DEFAULT_SIGNATURE
    ) -> dict[str, np.ndarray]:
        """Runs any signature of the model.

        Args:
            inputs: Values by input name. Python integers are sent as int64 and floats as float32;
                pass a numpy array or scalar for any other dtype (`np.int32(5)`).
            signature: Name of the signature; `metadata()` lists them.

        Returns:
            Arrays by output name as the model gives them, padding included; strings as object
            arrays of `str`.

        Raises:
            SignatureNotFound: With the names that there are.
            InvalidRequest: With the inputs that the signature takes.
            ServingError: See `serving.errors` for the others.
        """
        if not isinstance(inputs, Mapping) or not isinstance(signature, str):
            raise InvalidRequest(
                "`inputs` must be a dict of values by input name, and `signature` a name. "
                f"Received: inputs of type {type(inputs).__name__}, signature={signature!r}."
            )
        arrays = {}
        for name, value in inputs.items():
            try:
                arrays[name] = as_input(value)
            except ValueError as error:
                raise InvalidRequest(f"Input {name!r} cannot be sent: {error}.") from error
        return self._ask(signature, arrays)

    def status(self) -> list[VersionStatus]:
        """State of every version of the model that the server knows."""
        return self._transport.status(self.timeout)

    def metadata(self) -> ModelMetadata:
        """Version and signatures of the model that answers now."""
        return self._transport.metadata(self.timeout)

    def wait_until_ready(self, timeout: float = 60.0) -> None:
        """Returns as soon as a version of the model is available.

        Args:
            timeout: Seconds to wait for it; 0 looks once.

        Raises:
            ValueError: If `timeout` is negative or no number.
            ServerUnavailable: If the server does not answer, or the model is not loaded, in time.
            ModelNotFound: If by then the server answers but has no such model.
        """
        give_up = time.monotonic() + number(least=0, timeout=timeout)
        while True:
            remaining = max(give_up - time.monotonic(), POLL_SECONDS)
            try:
                seen = self._transport.status(min(self.timeout, remaining))
                if any(version.state == "AVAILABLE" for version in seen):
                    return
            except (ServerUnavailable, DeadlineExceeded, ModelNotFound) as error:
                seen = error
            if time.monotonic() + POLL_SECONDS > give_up:
                break
            time.sleep(POLL_SECONDS)
        if isinstance(seen, ModelNotFound):
            raise seen
        raise ServerUnavailable(
            f"Model {self.model!r} at {self.target} is not available after {timeout:g} s. Wait "
            f"longer, or look at the log of the server. Last seen: {seen}"
        )

    def close(self) -> None:
        """Closes the connections; the client cannot be used afterwards."""
        self._transport.close()

    def __enter__(self) -> "ServingClient":
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def _ask(self, name: str, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        try:
            return self._transport.predict(name, inputs, self.timeout)
        except InvalidRequest as error:
            raise self._explained(error, name) from error

    def _explained(self, error: InvalidRequest, name: str) -> ServingError:
        """The refusal of a request, with what the signature takes or which signatures there are."""
        try:
            signature = self._transport.signature(name, self.timeout, fresh=True)
        except SignatureNotFound as missing:
            return missing
        except ServingError:
            return error  # says more than that a second question failed
        takes = ", ".join(f"{key}: {spec}" for key, spec in signature.inputs.items())
        return InvalidRequest(f"{error} Signature {name!r} takes {takes}.")

    def _rows(
        self, argument: str, rows, signature: str, count: int | None = None
    ) -> tuple[np.ndarray, list[int]]:
        def kind_in_signature() -> str:
            spec = self._transport.signature(signature, self.timeout).inputs.get(argument)
            return spec.dtype if spec else "no input"

        return encode_id_rows(argument, rows, count=count, kind_if_empty=kind_in_signature)

    def _read(self, reader: Callable, outputs: Mapping[str, np.ndarray], *arguments):
        try:
            return reader(outputs, *arguments)
        except ValueError as error:
            raise UnexpectedResponse(
                f"Model {self.model!r} at {self.target} gives {error}. "
                "Was it exported by `export_retrieval`?"
            ) from error
