"""Commands that cannot be read yet, because the schema they were written with is being asked for.

**Law.** Requests of one instance keep the order of the log: while one of them is held here, whatever comes after it for the
same instance is held behind it. Other instances' go on. What is held is undecided, and so read again by the next owner.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from perdure.core.commands import InspectInstance
from perdure.core.names import Topics
from perdure.roles.orchestrator.intake import Incoming, Misfit, Sealed, opened, refused
from perdure.roles.orchestrator.position import Position
from perdure.roles.orchestrator.schemas import Schemas

__all__ = ["Holding"]

QUESTIONS_HELD_MAX = 10_000  # one more is not held, its client asks again


class Holding:
    """By instance. `wake` is called when something held may be readable."""

    def __init__(self, schemas: Schemas, position: Position, topics: Topics, wake: Callable[[], None]) -> None:
        self._schemas = schemas
        self._position = position
        self._topics = topics
        self._wake = wake
        self._held: dict[str, deque[Incoming | Sealed]] = {}
        self._questions = 0
        self._news = False  # since `take` has looked at everything

    def __bool__(self) -> bool:
        return bool(self._held)

    def holds(self, instance_id: str) -> bool:
        return instance_id in self._held

    def open(self, sealed: Sealed) -> Incoming | Misfit | None:
        """What is in it, if its schema is known, or known not to be. None: not yet."""
        schema = self._schemas.find(sealed.schema_id, self._tell)
        if schema is None:
            return None
        if isinstance(schema, str):
            return refused(sealed.record, self._topics, schema)
        return opened(sealed, schema, self._topics)

    def hold(self, found: Incoming | Sealed) -> None:
        """Behind what is held of its instance. A question is volatile: it holds no place in the log."""
        if isinstance(found, Incoming) and type(found.command) is InspectInstance:
            if self._questions >= QUESTIONS_HELD_MAX:
                return
            self._questions += 1
        else:
            self._position.waits(found.record.offset)
        self._held.setdefault(found.instance_id, deque()).append(found)

    def take(self, most: int) -> list[Incoming | Misfit]:
        """At most `most` of those that can be read now, in the order of the log for each instance."""
        taken: list[Incoming | Misfit] = []
        if not self._news:
            return taken
        for key in list(self._held):
            queue = self._held[key]
            while queue and len(taken) < most:
                head = queue[0]
                found = self.open(head) if isinstance(head, Sealed) else head
                if found is None:
                    break
                queue.popleft()
                self._questions -= isinstance(head, Incoming) and type(head.command) is InspectInstance
                taken.append(found)
            if not queue:
                del self._held[key]
            if len(taken) >= most:
                return taken  # there may be more
        self._news = False
        return taken

    def _tell(self) -> None:
        self._news = True
        self._wake()
