"""JMESPath expressions over a message's envelope: compiled when a subscription is read, evaluated for each message.

An expression is its operator's, what it meets is a stranger's. Whatever the library raises on a message has a name here.
"""

from __future__ import annotations

from typing import Any, Final

import jmespath

from perdure.core.clipping import clipped, text_of
from perdure.core.errors import PerdureError
from perdure.core.limits import EXPRESSION_BYTES_MAX

__all__ = ["Expression", "ExpressionFailed", "ExpressionWrong"]

ERROR_CHARS_MAX: Final = 300


class ExpressionWrong(PerdureError, ValueError):
    """This is no expression."""


class ExpressionFailed(PerdureError):
    """It could not be evaluated for this message."""


class Expression:
    """Raises ExpressionWrong for a text that is no JMESPath."""

    __slots__ = ("_compiled", "text")

    def __init__(self, text: str) -> None:
        if len(text.encode("utf-8", "surrogatepass")) > EXPRESSION_BYTES_MAX:
            raise ExpressionWrong(f"is longer than {EXPRESSION_BYTES_MAX:,} bytes")
        try:
            self._compiled = jmespath.compile(text)
        except RecursionError:
            raise ExpressionWrong("is nested too deeply") from None
        except Exception as error:  # noqa: BLE001 - the library has errors of many kinds for a text that is none
            raise ExpressionWrong(f"is no JMESPath: {_one_line(error)}") from None
        self.text = text

    def of(self, envelope: dict[str, Any]) -> Any:
        """What it gives. Raises ExpressionFailed; never anything else, whatever the message."""
        try:
            return self._compiled.search(envelope)
        except RecursionError:
            raise ExpressionFailed("the message or the expression is nested too deeply") from None
        except Exception as error:  # noqa: BLE001 - whatever its functions say of a stranger's values
            raise ExpressionFailed(_one_line(error)) from None

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Expression) and other.text == self.text

    def __hash__(self) -> int:
        return hash(self.text)

    def __repr__(self) -> str:
        return f"Expression({self.text!r})"


def _one_line(error: BaseException) -> str:
    return clipped(" ".join(text_of(error).split()), ERROR_CHARS_MAX) or type(error).__name__
