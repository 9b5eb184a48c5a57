"""What a subscription says, read from a table of a file, from options, or from the topic; and what is wrong with it."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from perdure.core.errors import PerdureError
from perdure.core.limits import SUBSCRIPTION_BYTES_MAX
from perdure.core.names import Topics
from perdure.core.refusals import bad_name
from perdure.roles.subscriptions.avro import AvroSchema, SchemaUnfit
from perdure.roles.subscriptions.expressions import Expression, ExpressionWrong

__all__ = ["FIELDS", "Subscription", "SubscriptionWrong", "fields_of", "subscription_of"]

FIELDS: Final = ("topic", "workflow", "event", "instance_id", "input", "when", "format", "schema", "begin")
FORMATS: Final = ("json", "avro")
BEGINS: Final = ("now", "beginning")

_NAME: Final = re.compile(r"[A-Za-z0-9_-]{1,64}", re.ASCII)
_TOPIC: Final = re.compile(r"(?!\.\.?$)[A-Za-z0-9._-]{1,249}", re.ASCII)
OUR_OWN: Final = ("instances", "history", "timers", "activities", "replies", "layout", "subscriptions", "dead-letters")


class SubscriptionWrong(PerdureError, ValueError):
    """A subscription that cannot be one; the text names the subscription, the field, and what to write."""


@dataclass(slots=True, frozen=True)
class Subscription:
    """One of `workflow` and `event` is set. `schema`: of Avro messages that name none in a registry."""

    name: str
    topic: str
    instance_id: Expression
    input: Expression
    workflow: str = ""
    event: str = ""
    when: Expression | None = None
    format: Literal["json", "avro"] = "json"
    schema: AvroSchema | None = None
    begin: Literal["now", "beginning"] = "now"


def subscription_of(name: str, fields: Mapping[str, Any], topics: Topics | None = None) -> Subscription:
    """Raises SubscriptionWrong. `topics`: of the namespace it is for, whose own topics it must not read."""
    try:
        return _read(name, fields, topics)
    except (ExpressionWrong, SchemaUnfit, ValueError) as error:
        if isinstance(error, SubscriptionWrong):
            raise
        raise SubscriptionWrong(f"subscription {name[:80]!r}: {error}") from None


def fields_of(subscription: Subscription) -> dict[str, Any]:
    """As `subscription_of` takes them; what is not said is left out."""
    said: dict[str, Any] = {}
    for field in FIELDS:
        value = getattr(subscription, field)
        if isinstance(value, Expression):
            said[field] = value.text
        elif isinstance(value, AvroSchema):
            said[field] = value.source if isinstance(value.source, dict | list) else json.dumps(value.source)
        elif value:
            said[field] = value
    return said


def _read(name: str, fields: Mapping[str, Any], topics: Topics | None) -> Subscription:
    if not _NAME.fullmatch(name):
        raise ValueError("its name has 1 to 64 characters out of letters, digits, - and _")
    unknown = sorted(str(key) for key in fields.keys() - set(FIELDS))
    if unknown:
        raise ValueError(f"'{unknown[0][:80]}' is nothing that a subscription has: there are {', '.join(FIELDS)}")
    texts = {field: _text(fields, field) for field in FIELDS if field != "schema"}
    _check_target(texts)
    _check_topic(texts["topic"], topics)
    choice = {field: texts[field] or allowed[0] for field, allowed in (("format", FORMATS), ("begin", BEGINS))}
    for field, allowed in (("format", FORMATS), ("begin", BEGINS)):
        if choice[field] not in allowed:
            raise ValueError(f"{field} {texts[field][:80]!r} is not one of {', '.join(allowed)}")
    if not texts["instance_id"]:
        raise ValueError("instance_id is missing: an expression that gives the instance's id, such as value.id")
    found = Subscription(
        name, texts["topic"], _expression("instance_id", texts["instance_id"]), _expression("input", texts["input"] or "value"),
        texts["workflow"], texts["event"], _expression("when", texts["when"]) if texts["when"] else None,
        "avro" if choice["format"] == "avro" else "json", _schema(fields.get("schema"), choice["format"]),
        "beginning" if choice["begin"] == "beginning" else "now",
    )  # fmt: skip
    size = len(json.dumps(fields_of(found)))
    if size > SUBSCRIPTION_BYTES_MAX:
        raise ValueError(
            f"it takes {size:,} bytes, with its expressions and schema; the limit is {SUBSCRIPTION_BYTES_MAX:,}"
        )
    return found


def _text(fields: Mapping[str, Any], field: str) -> str:
    value = fields.get(field, "")
    if not isinstance(value, str):
        raise ValueError(f"{field} has to be text, not {json.dumps(value, default=str)[:80]}")
    if not value.isascii():
        value.encode()  # a lone surrogate is no text: UnicodeEncodeError is a ValueError
    return value


def _check_target(texts: Mapping[str, str]) -> None:
    if bool(texts["workflow"]) == bool(texts["event"]):
        raise ValueError("it either starts a workflow or raises an event: give one of workflow and event")
    bad = bad_name(texts["workflow"] or texts["event"])
    if bad is not None and bad.rejection is not None:
        raise ValueError(bad.rejection.message)


def _check_topic(topic: str, topics: Topics | None) -> None:
    if not _TOPIC.fullmatch(topic):
        raise ValueError(
            f"topic {topic[:80]!r} is no name of a topic" if topic else "topic is missing: where its messages are"
        )
    own = topics is not None and topic.startswith(f"{topics.namespace}.") and topic.removeprefix(f"{topics.namespace}.")
    if own and (own in OUR_OWN or own.startswith("activities.")):
        raise ValueError(f"topic {topic} is the engine's own: what it holds is no message of yours")


def _expression(field: str, text: str) -> Expression:
    try:
        return Expression(text)
    except ExpressionWrong as error:
        raise ValueError(f"{field} {error}") from None


def _schema(given: Any, format_: str) -> AvroSchema | None:
    if given is None or given == "":
        return None
    if format_ != "avro":
        raise ValueError('a schema goes with format = "avro"')
    if isinstance(given, str):
        try:
            given = json.loads(given)
        except (ValueError, RecursionError):
            raise ValueError("schema is no JSON: it is an Avro schema, as in an .avsc file") from None
    return AvroSchema(given)
