"""`autosample query`: one user's best items from a server."""

import re

import typer.core


class Query(typer.core.TyperCommand):
    """Takes `-5` for an id and not for an option, which no option of digits contradicts."""

    def parse_args(self, ctx, args):
        options = [one for one in self.params if not getattr(one, "is_flag", True)]
        takes_value = {name for one in options for name in one.opts}
        negative = [
            place
            for place, text in enumerate(args)
            if re.fullmatch(r"-\d+", text) and (not place or args[place - 1] not in takes_value)
        ]
        if negative and "--" not in args:
            others = [text for place, text in enumerate(args) if place not in negative]
            args = [*others, "--", *(args[place] for place in negative)]
        return super().parse_args(ctx, args)


def ask(user_id: str, model: str, k: int, target: str) -> dict:
    """Returns the answer as JSON values, without what fills up a short row.

    Args:
        user_id: As it was typed. A model of integers is asked for the integer it is read as.
        model: Name of the served model.
        k: Number of items.
        target: HOST:PORT for gRPC, http://HOST:PORT for REST.

    Raises:
        ValueError: If the model knows integers and `user_id` is none.
    """
    from tf_autosample.data.vocabulary import PADDING
    from tf_autosample.serving import ServingClient

    with ServingClient(target, model=model) as client:
        wants = client.metadata().signatures["recommend"].inputs["user_id"].dtype
        asked = _integer(user_id, model) if wants == "int64" else user_id
        answer = client.recommend([asked], k=k)
    ranked = zip(list(answer.item_ids[0]), list(answer.scores[0]), strict=True)
    items = [
        {"item_id": item if isinstance(item, str) else int(item), "score": round(float(score), 4)}
        for item, score in ranked
        if item not in PADDING.values()
    ]
    return {"user_id": asked, "known_user": bool(answer.known_user[0]), "items": items}


def _integer(user_id: str, model: str) -> int:
    text = user_id.strip()
    if re.fullmatch(r"[+-]?[0-9]+", text) and -(2**63) <= int(text) < 2**63:
        return int(text)
    raise ValueError(
        f"`USER_ID` must be an integer of 64 bits for {model!r}. Received: {user_id!r}."
    )
