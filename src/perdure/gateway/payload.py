"""A request's body as a payload: JSON or nothing.

Dapr takes any bytes for an input; here a payload is JSON for its whole life, so that every client, the history and
the command line can show it: other bytes are refused (send them as a JSON string, base64 for instance).
"""

from __future__ import annotations

from perdure.client.values import JsonText
from perdure.core.errors import PayloadError
from perdure.gateway.problems import Problem
from perdure.workflow.payloads import dumps, parsed

__all__ = ["payload_in"]


def payload_in(body: bytes, *, unwrap: bool = False) -> JsonText | None:
    """The payload; None for an empty body. `unwrap`: of an object whose only key is "input", what that holds.

    Raises Problem 400 ERR_MALFORMED_REQUEST, whatever the bytes.
    """
    if not body.strip():
        return None
    try:
        text = body.decode()
        value = parsed(text)
        dumps(value).encode()  # refuses here what no other way in accepts: infinities, lone surrogates
        if unwrap and type(value) is dict and value.keys() == {"input"}:
            text = dumps(value["input"])
            return JsonText(text) if text else None
    except UnicodeError:
        raise Problem(
            400, "ERR_MALFORMED_REQUEST", "the body is not valid Unicode in UTF-8: a payload is JSON"
        ) from None
    except PayloadError as error:
        raise Problem(400, "ERR_MALFORMED_REQUEST", f"the body: {error}") from None
    return JsonText(text)
