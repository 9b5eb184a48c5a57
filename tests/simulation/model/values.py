"""Payloads: JSON text, "" for None. Two are equal if they are the same JSON value; 1, 1.0 and true are not."""

from __future__ import annotations

import json


def read(text):
    return json.loads(text) if text else None


def canonical(value):
    return json.dumps(value, sort_keys=True, separators=(",", ":"))


def same(text, value):
    """Does a recorded payload hold this value? False for text that is no JSON."""
    try:
        return canonical(read(text)) == canonical(value)
    except ValueError:
        return False
