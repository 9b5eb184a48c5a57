"""The bodies of requests and answers, as OpenAPI shows them."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field

from perdure.client.listing import PAGE_ROWS_MAX, Where

__all__ = [
    "BulkAnswer", "DaprWorkflow", "Done", "ErrorBody", "Failure", "Health", "History", "Instance", "InstancePage",
    "ListQuery", "Moment", "PurgeMany", "StartAnswer", "Status", "TerminateMany",
]  # fmt: skip

Status = Literal["UNKNOWN", "RUNNING", "COMPLETED", "FAILED", "TERMINATED", "PENDING", "SUSPENDED", "STALLED"]


def _rfc3339(given: Any) -> Any:
    """pydantic would take numbers and dates without a time for datetimes, too."""
    if isinstance(given, datetime) or (isinstance(given, str) and _RFC3339.fullmatch(given)):
        return given
    raise ValueError("an RFC 3339 date and time with its offset, such as 2026-01-31T12:00:00Z")


_RFC3339 = re.compile(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)", re.ASCII)
Moment = Annotated[AwareDatetime, BeforeValidator(_rfc3339)]
"""A time in a request."""


class ErrorBody(BaseModel):
    errorCode: str  # noqa: N815 - Dapr's key
    message: str


class Done(BaseModel):
    """Accepted; nothing more to say."""

    model_config = ConfigDict(extra="forbid")


class Health(BaseModel):
    status: Literal["ok"] = "ok"
    engine: Literal["perdure"] = "perdure"


class StartAnswer(BaseModel):
    instanceID: str  # noqa: N815 - Dapr's key


class DaprWorkflow(BaseModel):
    """An instance as Dapr shows it. Absent: there is none."""

    instanceID: str  # noqa: N815 - Dapr's key
    workflowName: str  # noqa: N815 - Dapr's key
    createdAt: datetime  # noqa: N815 - Dapr's key
    lastUpdatedAt: datetime  # noqa: N815 - Dapr's key
    runtimeStatus: Status  # noqa: N815 - Dapr's key
    serializedOutput: str | None = None  # noqa: N815 - Dapr's key
    properties: dict[str, str]


class Failure(BaseModel):
    errorType: str  # noqa: N815 - as Dapr spells keys
    message: str
    stackTrace: str  # noqa: N815 - as Dapr spells keys


class Instance(BaseModel):
    """An instance; `serialized…` is JSON text. `events` counts the generation's; `detail` only when described."""

    instanceID: str  # noqa: N815 - Dapr's key
    workflowName: str  # noqa: N815 - Dapr's key
    runtimeStatus: Status  # noqa: N815 - Dapr's key
    createdAt: datetime  # noqa: N815 - Dapr's key
    lastUpdatedAt: datetime  # noqa: N815 - Dapr's key
    run: str
    generation: int
    events: int
    partition: int | None
    parentInstanceID: str | None  # noqa: N815 - as Dapr spells keys
    serializedInput: str | None  # noqa: N815 - as Dapr spells keys
    serializedOutput: str | None  # noqa: N815 - as Dapr spells keys
    serializedCustomStatus: str | None  # noqa: N815 - as Dapr spells keys
    failure: Failure | None
    detail: dict[str, Any] | None = None
    owner: str | None = Field(
        None, description="The process that owns its partition; this and the rest when described."
    )
    lag: int | None = Field(None, description="Commands of its partition that are not decided yet.")
    storeLag: int | None = Field(None, description="History records of its partition not stored yet.")  # noqa: N815


class InstancePage(BaseModel):
    """`next` is the following page's `page`; empty at the end."""

    instances: list[Instance]
    next: str


class History(BaseModel):
    """Events of the latest run and generation: "type", and the fields of that type's Avro schema."""

    instanceID: str  # noqa: N815 - Dapr's key
    events: list[dict[str, Any]]


class _Filters(BaseModel):
    """All conditions that are given hold."""

    model_config = ConfigDict(extra="forbid")

    name: list[str] = Field([], description="One of these workflows.")
    status: list[Status] = Field([], description="One of these.")
    id_prefix: str = ""
    created_from: Moment | None = Field(None, description="Inclusive.")
    created_to: Moment | None = Field(None, description="Exclusive.")

    def where(self) -> Where:
        found: Where = {"name": self.name, "status": self.status, "id_prefix": self.id_prefix}
        if self.created_from is not None:
            found["created_from"] = self.created_from
        if self.created_to is not None:
            found["created_to"] = self.created_to
        return found


class ListQuery(_Filters):
    limit: int = Field(100, ge=1, le=PAGE_ROWS_MAX)
    page: str = Field("", description='An earlier answer\'s "next".')


class PurgeMany(_Filters):
    """At least one condition."""

    recursive: bool = Field(True, strict=True, description="Their children, too.")
    limit: int = Field(PAGE_ROWS_MAX, strict=True, ge=1, le=PAGE_ROWS_MAX)


class TerminateMany(PurgeMany):
    output: Any = Field(None, description="Their output from now on.")


class BulkAnswer(BaseModel):
    """`skipped` needed nothing; `failed` maps an id to the error; `more`: others fit, ask again."""

    done: list[str]
    skipped: list[str]
    failed: dict[str, str]
    more: bool
