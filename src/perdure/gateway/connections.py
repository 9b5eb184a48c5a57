"""Who is connected, and who has to go when there are too many.

The law: whoever has no token shuts out nobody who has one. A connection is a stranger's until a request on it has passed
the gate, and again from its next request on. Strangers have places of their own. When they are taken, a newcomer is not
refused: it gets the place of the one that has been there longest, of the address that has most of them. So a newcomer
has always time to show its token: until as many as there are places have come after it, and those of its own address
only, if others are more.

Rejected: a bound for each address. Behind a balancer one address is everybody, so that it would be right nowhere; and
refusing newcomers at a bound, which lets those in who came first, not those who may.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable

from perdure.core.limits import GATEWAY_CONNECTIONS_MAX, GATEWAY_STRANGERS_MAX

__all__ = ["CONNECTION", "Connection", "Connections"]

CONNECTION = "perdure.connection"
"""The key in a request's state under which the gate finds its connection."""


class Connection:
    """One that was accepted, before TLS. `let_go` ends it at once, whatever it is at."""

    __slots__ = ("_among", "address", "let_go")

    def __init__(self, among: Connections, address: str) -> None:
        self._among = among
        self.address = address
        self.let_go: Callable[[], object] = lambda: None

    def become_known(self) -> bool:
        """A request on it has passed the gate. False: it stays a stranger's, for as many others are known already."""
        return self._among.know(self)

    def become_stranger(self) -> None:
        """Its first, or its next request has come."""
        self._among.enter(self)

    def leave(self) -> None:
        """It is closed. Twice is harmless."""
        self._among.leave(self)


class Connections:
    """Every connection of one server: a stranger's or known, until it leaves."""

    def __init__(self) -> None:
        self._strangers: dict[str, OrderedDict[Connection, None]] = {}  # by address, the longest there first
        self._strangers_held = 0
        self._known: set[Connection] = set()

    @property
    def strangers(self) -> int:
        return self._strangers_held

    @property
    def known(self) -> int:
        return len(self._known)

    def enter(self, connection: Connection) -> None:
        """As the latest of the strangers; one that is among them keeps its place."""
        if connection in self._strangers.get(connection.address, ()):
            return
        self._known.discard(connection)
        if self._strangers_held >= GATEWAY_STRANGERS_MAX:
            self.let_one_go()
        self._strangers.setdefault(connection.address, OrderedDict())[connection] = None
        self._strangers_held += 1

    def let_one_go(self) -> None:
        """A stranger, if there is one."""
        if self._strangers:
            most = max(self._strangers, key=lambda address: len(self._strangers[address]))
            connection = next(iter(self._strangers[most]))
            self.leave(connection)
            connection.let_go()

    def know(self, connection: Connection) -> bool:
        if connection not in self._strangers.get(connection.address, ()):
            return True  # let go before its request was looked at: nobody will get the answer
        if len(self._known) >= GATEWAY_CONNECTIONS_MAX:
            return False
        self.leave(connection)
        self._known.add(connection)
        return True

    def leave(self, connection: Connection) -> None:
        self._known.discard(connection)
        of_address = self._strangers.get(connection.address, OrderedDict())
        if connection in of_address:
            del of_address[connection]
            self._strangers_held -= 1
            if not of_address:
                del self._strangers[connection.address]
