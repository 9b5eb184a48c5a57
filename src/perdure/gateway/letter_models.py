"""The bodies of requests about dead letters, and of their answers, as OpenAPI shows them."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from perdure.client.listing import PAGE_ROWS_MAX
from perdure.core.limits import LETTERS_SETTLED_MAX
from perdure.letters.letter import LETTER_ID

__all__ = [
    "Letter", "LetterIds", "LetterPageBody", "LetterQuery", "LetterWithRecord", "Settled", "SettledMany",
]  # fmt: skip

TEXT_CHARS_MAX = 1_000


class Origin(BaseModel):
    """The record that it was."""

    topic: str
    partition: int
    offset: int


class Letter(BaseModel):
    """A dead letter, without what it holds. `kind` is the record's name where its first bytes tell it."""

    id: str
    state: str = Field(description="open, replayed or dropped.")
    time: datetime = Field(description="When it became a dead letter.")
    reason: str
    origin: Origin | None
    instanceID: str | None = Field(description="The record's key; null if it is no UTF-8.")  # noqa: N815 - Dapr's key
    kind: str | None
    bytes: int
    truncatedBytes: int | None = Field(description="How long it was before it was cut.")  # noqa: N815
    subscription: str | None
    replayOf: str | None = Field(description="The letter whose replay failed again.")  # noqa: N815
    repeatOf: str | None = Field(  # noqa: N815
        description="An earlier letter of the same origin; known if it is on the same page of the list."
    )
    settledAt: datetime | None  # noqa: N815
    settledBy: str | None  # noqa: N815


class HeaderBody(BaseModel):
    name: str
    value: str = Field(description="base64")
    text: str | None


class LetterWithRecord(Letter):
    """With the record as it was: key and value are base64. `fields` of a record of ours, else `text` if it is UTF-8."""

    key: str
    value: str
    headers: list[HeaderBody]
    fields: dict[str, Any] | None
    text: str | None


class LetterPageBody(BaseModel):
    """`next` is the following page's `page`; empty at the end. A page may hold fewer than were asked for."""

    letters: list[Letter]
    next: str


class LetterQuery(BaseModel):
    """All conditions that are given hold."""

    model_config = ConfigDict(extra="forbid")

    state: Literal["open", "replayed", "dropped", "all"] = "open"
    instance_id: str = Field("", max_length=512)
    origin: str = Field("", max_length=512, description="A topic: instances, activities, timers, or its whole name.")
    reason: str = Field("", max_length=TEXT_CHARS_MAX, description="A part of the reason, in any case.")
    limit: int = Field(100, ge=1, le=PAGE_ROWS_MAX)
    page: str = Field("", description='An earlier answer\'s "next".')


class LetterIds(BaseModel):
    model_config = ConfigDict(extra="forbid")

    ids: list[Annotated[str, StringConstraints(pattern=LETTER_ID)]] = Field(
        min_length=1, max_length=LETTERS_SETTLED_MAX
    )


class Settled(BaseModel):
    id: str
    state: Literal["replayed", "dropped"]


class SettledOrNot(BaseModel):
    """`state`, or why not."""

    id: str
    state: str | None
    errorCode: str | None  # noqa: N815 - Dapr's key
    message: str | None


class SettledMany(BaseModel):
    """In the order of the request."""

    letters: list[SettledOrNot]
