"""Errors of the serving client and the embedded server.

ServingError
 +-- ServerUnavailable     nobody answers, or not yet: start the server or correct the target
 +-- DeadlineExceeded      an answer took longer than the timeout
 +-- ModelNotFound         the server is up but serves no such model
 +-- SignatureNotFound     the model is there but has no such signature
 +-- InvalidRequest        wrong dtype or shape, a missing input, an id that is no id
 +-- UnexpectedResponse    an answer that no model server gives, or a failure inside the server
 +-- ServerStartError      the embedded server cannot start: no model, a port that is taken

A user or item that the model does not know is no error: `known_user` or `known_item` is false.
"""


class ServingError(Exception):
    """Anything that goes wrong between a client and a model server."""


class ServerUnavailable(ServingError):
    """No model server answers at the target, or the model is not ready in time."""


class DeadlineExceeded(ServingError):
    """The server did not answer within the timeout."""


class ModelNotFound(ServingError):
    """The server has no model of that name."""


class SignatureNotFound(ServingError):
    """The model has no signature of that name."""


class InvalidRequest(ServingError):
    """The request does not fit the signature; sending it again cannot help."""


class UnexpectedResponse(ServingError):
    """The answer cannot be read, or the server failed while it computed one."""


class ServerStartError(ServingError):
    """The embedded server cannot start."""


# gRPC status names and HTTP status codes; whatever is not listed is an UnexpectedResponse.
_ERROR_OF_CODE: dict[str | int, type[ServingError]] = {
    "UNAVAILABLE": ServerUnavailable,
    "RESOURCE_EXHAUSTED": ServerUnavailable,
    "DEADLINE_EXCEEDED": DeadlineExceeded,
    "NOT_FOUND": ModelNotFound,
    "INVALID_ARGUMENT": InvalidRequest,
    "OUT_OF_RANGE": InvalidRequest,
    # TensorFlow Serving's answer to an unknown signature; the client tells the two apart.
    "FAILED_PRECONDITION": InvalidRequest,
    400: InvalidRequest,
    404: ModelNotFound,
    429: ServerUnavailable,
    503: ServerUnavailable,
    504: DeadlineExceeded,
}

_ADVICE: dict[type[ServingError], str] = {
    ServerUnavailable: (
        "No model server answers at {target}. Start one (`autosample serve BASE/NAME`) or correct "
        "`target`: host:port is gRPC, http://host:port is REST, and their ports differ."
    ),
    DeadlineExceeded: (
        "{target} did not answer within {timeout:g} s. Pass a longer `timeout`, send fewer rows "
        "in one call, or look whether the server is overloaded."
    ),
    ModelNotFound: (
        "The server at {target} has no model {model!r}. Pass `model=`: the name of the folder "
        "that holds the version folders."
    ),
    InvalidRequest: "Model {model!r} at {target} refused the request.",
    UnexpectedResponse: (
        "{target} gave an answer that cannot be used. Look whether a TensorFlow Serving compatible "
        "server listens there (host:port is gRPC, http://host:port is REST), and at its log."
    ),
}


def error_from_code(
    code: str | int, detail: str, *, target: str, model: str, timeout: float
) -> ServingError:
    """The error, with what to do about it, for a status code of either protocol.

    Args:
        code: Name of a gRPC status ("UNAVAILABLE") or HTTP status (503).
        detail: What the server or the network library said.
        target: Where the request went.
        model: Name of the model that was asked for.
        timeout: Seconds that the call was allowed.
    """
    kind = _ERROR_OF_CODE.get(code, UnexpectedResponse)
    advice = _ADVICE[kind].format(target=target, model=model, timeout=timeout)
    return kind(f"{advice} ({code}: {detail.strip()})")
