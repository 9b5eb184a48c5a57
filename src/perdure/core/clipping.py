"""Text of failures, made fit for a record."""

from __future__ import annotations

from perdure.core.limits import FAILURE_TEXT_CHARS_MAX

__all__ = ["clipped", "text_of"]


def clipped(text: str, limit: int = FAILURE_TEXT_CHARS_MAX) -> str:
    """The text with its middle cut out when over the limit; lone surrogates, which UTF-8 cannot hold, escaped."""
    if not text.isascii():
        text = text.encode("utf-8", "backslashreplace").decode()
    if len(text) <= limit:
        return text
    cut = f"\n… {len(text) - limit:,} characters cut …\n"
    head = max((limit - len(cut)) // 2, 0)
    tail = max(limit - len(cut) - head, 0)
    return text[:head] + cut[:limit] + text[len(text) - tail :]


def text_of(error: BaseException) -> str:
    """str(error), whatever a stranger's __str__ does."""
    try:
        return str(error)
    except BaseException as broken:  # noqa: BLE001 - the failure must be told all the same
        return f"(its text cannot be made: {type(broken).__name__})"
