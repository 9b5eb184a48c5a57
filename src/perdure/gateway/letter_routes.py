"""Dead letters over HTTP: a list, one with its bytes, replay and drop, alone or many at a time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from fastapi import APIRouter, Path, Query

from perdure.client.letter_wire import letter_body, letter_record_body, settlement_body
from perdure.gateway.descriptions import errors
from perdure.gateway.letter_models import (
    Letter,
    LetterIds,
    LetterPageBody,
    LetterQuery,
    LetterWithRecord,
    Settled,
    SettledMany,
)
from perdure.gateway.parameters import CommandId, RequestedBy
from perdure.gateway.use_cases import UseCases
from perdure.letters import Settlement
from perdure.letters.letter import LETTER_ID

__all__ = ["letter_router"]

LetterId = Annotated[str, Path(description="<partition>-<offset>, as lists tell it.", pattern=LETTER_ID)]


def letter_router(cases: UseCases) -> APIRouter:
    router = APIRouter(prefix="/v1", tags=["Dead letters"])
    _add_reads(router, cases)
    _add_settling(router, cases)
    return router


def _add_reads(router: APIRouter, cases: UseCases) -> None:
    @router.get("/dead-letters", responses=errors(400))
    async def list_letters(query: Annotated[LetterQuery, Query()]) -> LetterPageBody:
        """Records that could not be handled, oldest first, without what they hold."""
        found = await cases.list_letters(
            query.limit, query.page, state=query.state, instance_id=query.instance_id, origin=query.origin,
            reason=query.reason,
        )  # fmt: skip
        return LetterPageBody(
            letters=[Letter.model_validate(letter_body(each)) for each in found.letters], next=found.next
        )

    @router.get("/dead-letters/{letter_id:segment}", responses=errors(400, 404))
    async def get_letter(letter_id: LetterId) -> LetterWithRecord:
        """One, with its record's bytes, and with what they say where they can be read."""
        return LetterWithRecord.model_validate(letter_record_body(await cases.letter(letter_id)))


def _add_settling(router: APIRouter, cases: UseCases) -> None:
    @router.post("/dead-letters/{letter_id:segment}/replay", responses=errors(400, 404, 409))
    async def replay(letter_id: LetterId, command_id: CommandId = None, requested_by: RequestedBy = None) -> Settled:
        """Send its record again to where it came from, once for ever."""
        await cases.settle_letter(letter_id, "replay", command_id, requested_by)
        return Settled(id=letter_id, state="replayed")

    @router.post("/dead-letters/{letter_id:segment}/drop", responses=errors(400, 404, 409))
    async def drop(letter_id: LetterId, command_id: CommandId = None, requested_by: RequestedBy = None) -> Settled:
        """Put it away; it is never replayed."""
        await cases.settle_letter(letter_id, "drop", command_id, requested_by)
        return Settled(id=letter_id, state="dropped")

    @router.post("/dead-letters:replay", responses=errors(400, 413))
    async def replay_many(
        body: LetterIds, command_id: CommandId = None, requested_by: RequestedBy = None
    ) -> SettledMany:
        """Replay each; what became of each is in the answer."""
        return _shown(await cases.settle_letters(body.ids, "replay", command_id, requested_by))

    @router.post("/dead-letters:drop", responses=errors(400, 413))
    async def drop_many(body: LetterIds, command_id: CommandId = None, requested_by: RequestedBy = None) -> SettledMany:
        """Drop each; what became of each is in the answer."""
        return _shown(await cases.settle_letters(body.ids, "drop", command_id, requested_by))


def _shown(settlements: Sequence[Settlement]) -> SettledMany:
    return SettledMany.model_validate({"letters": [settlement_body(each) for each in settlements]})
