"""Writers' schemas by their ids in a registry: asked for once, known for ever. One for all partitions of a process.

**Law.** Nobody waits for the registry but the commands that need it. Every question ends: with the schema, with the
registry's no, or because the registry has been away for too long. A no and an absence hold for a while, in which the id is
not asked for again. When a registry is given up, whatever else waits for it ends with that; while it is believed to be
away, an id costs it one try.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from typing import Final

import structlog

from perdure.codec.avro import DecodeError
from perdure.codec.confluent import WriterSchema
from perdure.core.limits import REGISTRY_REFUSAL_SECONDS, SCHEMAS_ASKED_MAX, SCHEMAS_KNOWN_MAX
from perdure.ports.errors import PortError
from perdure.ports.registry import RegistryUnavailable, SchemaRegistry, SchemaUnknown
from perdure.roles.orchestrator.settings import OrchestratorSettings

__all__ = ["Schemas"]

log = structlog.get_logger("perdure.orchestrator")

NOT_CONFIGURED: Final = (
    "is in Confluent's framing (schema {id}), and no schema registry is set: set PERDURE_SCHEMA_REGISTRY and send it again, "
    "or write it in Avro's single-object encoding or in JSON"
)
LONG_AGO: Final = float("-inf")


class Schemas:
    """`find` from the loop; `stop` ends what is being asked."""

    def __init__(self, registry: SchemaRegistry | None, settings: OrchestratorSettings) -> None:
        self._registry = registry
        self._settings = settings
        self._known: OrderedDict[int, WriterSchema] = OrderedDict()
        self._refused: OrderedDict[int, tuple[str, float]] = OrderedDict()  # why, and until when that holds
        self._asking: dict[int, dict[Callable[[], None], None]] = {}  # whom to tell
        self._tasks: set[asyncio.Task[None]] = set()
        self._turn = asyncio.Semaphore(SCHEMAS_ASKED_MAX)
        self._answered_at = LONG_AGO
        self._given_up_at = LONG_AGO

    def find(self, schema_id: int, tell: Callable[[], None]) -> WriterSchema | str | None:
        """The schema, or why there is none. None: it is being asked for, and `tell` is called once that is over."""
        if self._registry is None:
            return NOT_CONFIGURED.format(id=schema_id)
        if (known := self._known.get(schema_id)) is not None:
            self._known.move_to_end(schema_id)
            return known
        why, until = self._refused.get(schema_id, ("", LONG_AGO))
        if asyncio.get_running_loop().time() < until:
            return why
        if schema_id not in self._asking:
            self._asking[schema_id] = {}
            task = asyncio.get_running_loop().create_task(self._ask(self._registry, schema_id))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        self._asking[schema_id][tell] = None
        return None

    async def stop(self) -> None:
        """Twice is harmless."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._asking.clear()

    async def _ask(self, registry: SchemaRegistry, schema_id: int) -> None:
        loop = asyncio.get_running_loop()
        began, pause, why = loop.time(), self._settings.retry_s, ""
        while True:
            try:
                async with self._turn:
                    if self._given_up_at >= began:
                        raise RegistryUnavailable(why or "the registry does not answer")  # noqa: TRY301 - as if it had been tried
                    source = await registry.schema(schema_id)
                self._answered_at, self._given_up_at = loop.time(), LONG_AGO
                self._know(schema_id, WriterSchema(source))
                break
            except (SchemaUnknown, DecodeError) as error:
                self._answered_at, self._given_up_at = loop.time(), LONG_AGO
                self._refuse(schema_id, _refusal(schema_id, error))
                break
            except RegistryUnavailable as error:
                why = str(error)
                if self._is_over(began, pause):
                    self._give_up(schema_id, began, why)
                    break
                log.warning(
                    "the schema registry does not answer; commands that need it wait", schema=schema_id, error=why
                )
                await asyncio.sleep(pause)
                pause = min(pause * 2, self._settings.retry_s_max)
            except Exception as error:  # noqa: BLE001 - one that fails unforeseen is as good as one that says no
                log.error(
                    "asking the schema registry failed", schema=schema_id, error=f"{type(error).__name__}: {error}"
                )
                self._refuse(schema_id, f"schema {schema_id} could not be had: {type(error).__name__}: {error}")
                break
        for tell in self._asking.pop(schema_id, {}):
            tell()

    def _is_over(self, began: float, pause: float) -> bool:
        now = asyncio.get_running_loop().time()
        believed_away = now < self._given_up_at + 2 * REGISTRY_REFUSAL_SECONDS
        return believed_away or now + pause >= began + self._settings.registry_patience_s

    def _give_up(self, schema_id: int, began: float, why: str) -> None:
        now = asyncio.get_running_loop().time()
        log.error("the schema registry is away: what needs it becomes a dead letter", schema=schema_id, error=why)
        if self._answered_at < began:  # it is not this one question that it has no answer to
            self._given_up_at = now
        self._refuse(
            schema_id, f"schema {schema_id} could not be asked for: {why}. Replay this once the registry is back"
        )

    def _know(self, schema_id: int, schema: WriterSchema) -> None:
        self._known[schema_id] = schema
        self._refused.pop(schema_id, None)
        if len(self._known) > SCHEMAS_KNOWN_MAX:
            self._known.popitem(last=False)

    def _refuse(self, schema_id: int, why: str) -> None:
        self._refused[schema_id] = (why, asyncio.get_running_loop().time() + REGISTRY_REFUSAL_SECONDS)
        self._refused.move_to_end(schema_id)
        if len(self._refused) > SCHEMAS_KNOWN_MAX:
            self._refused.popitem(last=False)


def _refusal(schema_id: int, error: PortError | DecodeError) -> str:
    return str(error) if isinstance(error, PortError) else f"schema {schema_id} of the registry {error}"
