"""Parameters that many routes share."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import unquote

from fastapi import Header, Path
from pydantic import AfterValidator
from starlette.convertors import StringConvertor, register_url_convertor

from perdure.client.ids import COMMAND_ID_CHARS_MAX

__all__ = ["CommandId", "Component", "EventName", "InstanceId", "RequestedBy", "WorkflowName"]


class _Segment(StringConvertor):
    """A segment that may be empty: a name left out is then told by Dapr's error, not by "no such route"."""

    regex = "[^/]*"


register_url_convertor("segment", _Segment())


def _utf8(header: str | None) -> str | None:
    """Headers arrive as Latin-1; ours are written as UTF-8."""
    return None if header is None else header.encode("latin-1").decode("utf-8", "replace")


_decoded = AfterValidator(unquote)  # see gate.py: % and / are still escaped

Component = Annotated[str, Path(description='The workflow component: "dapr". Not checked.')]
WorkflowName = Annotated[str, Path(description="The workflow's registered name."), _decoded]
EventName = Annotated[str, Path(description="The event's name; upper and lower case are the same."), _decoded]
InstanceId = Annotated[
    str,
    Path(description="An instance ID, percent-encoded; those that the engine derives have up to 512 bytes."),
    _decoded,
]
CommandId = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        min_length=1,
        max_length=COMMAND_ID_CHARS_MAX,
        pattern=r"^[!-~]+$",
        description="Names the request: repeated under the same key it has no second effect.",
    ),
]
RequestedBy = Annotated[
    str | None,
    Header(alias="X-Requested-By", max_length=256, description="Who asks, for the history."),
    AfterValidator(_utf8),
]
