"""docs/limits.md says what the code says: every limit, its value and where it is held; every setting, its default."""

import ast
import dataclasses
import importlib
import inspect
import re

import pytest

from perdure.core import limits
from tests.documents.markdown import ROOT, code_in, resolved, rows, text_of

TEXT = text_of("docs/limits.md")
LIMITS = [row for row in rows(TEXT) if "limit" in row]
SETTINGS = [row for row in rows(TEXT) if "setting" in row]
NAMES = [name for name in vars(limits) if name.isupper()]
UNITS = (
    "bytes",
    "characters",
    "events",
    "steps",
    "ids",
    "seconds",
    "days",
    "instances",
    "threads",
    "offsets",
    "clients",
    "deliveries",
    "owners",
    "children",
    "generations",
    "levels",
    "microseconds",
    "names",
    "requests",
    "connections",
    "records",
    "fields",
    "schemas",
    "subscriptions",
    "messages",
    "digits",
)


def value_of(cell):
    return ast.literal_eval(cell.replace(",", ""))


def reason_of(name):
    """The docstring below the constant."""
    body = ast.parse(text_of("src/perdure/core/limits.py")).body
    place = next(i for i, node in enumerate(body) if isinstance(node, ast.AnnAssign) and node.target.id == name)
    return body[place + 1].value.value


def test_every_limit_is_in_the_table_in_the_modules_order():
    assert [code_in(row["limit"]) for row in LIMITS] == NAMES


@pytest.mark.parametrize("row", LIMITS, ids=lambda row: row["limit"])
def test_a_limit_has_its_value_unit_and_reason(row):
    name = code_in(row["limit"])
    assert value_of(row["value"]) == getattr(limits, name)
    assert row["unit"] in UNITS
    assert row["what and why"] == reason_of(name)


@pytest.mark.parametrize("row", LIMITS, ids=lambda row: row["limit"])
def test_a_limit_is_held_where_the_table_says_or_is_open(row):
    name = code_in(row["limit"])
    if row["held by"] in ("open", "by construction"):
        users = [path for path in (ROOT / "src").rglob("*.py") if re.search(rf"\b{name}\b", path.read_text())]
        assert [path.name for path in users] == ["limits.py"], "it is held now: say where"
        return
    module = importlib.import_module(f"perdure.{code_in(row['held by'])}")
    assert re.search(rf"\b{name}\b", inspect.getsource(module))


@pytest.mark.parametrize("row", SETTINGS, ids=lambda row: row["setting"])
def test_a_setting_has_its_default(row):
    owner, _, name = code_in(row["setting"]).rpartition(".")
    assert value_of(row["default"]) == defaults(resolved(f"perdure.{owner}"))[name]


def defaults(settings):
    if dataclasses.is_dataclass(settings):
        return {field.name: field.default for field in dataclasses.fields(settings)}
    return {name: field.default for name, field in settings.model_fields.items()}


def test_every_setting_is_in_the_table():
    told = {}
    for row in SETTINGS:
        owner, _, name = code_in(row["setting"]).rpartition(".")
        told.setdefault(owner, set()).add(name)
    for owner, names in told.items():
        simple = {
            n for n, default in defaults(resolved(f"perdure.{owner}")).items() if isinstance(default, int | float | str)
        }
        assert names == simple, owner


def test_every_environment_variable_is_told():
    sources = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "src").rglob("*.py"))
    read = set(re.findall(r"\b((?:PERDURE|DAPR)_[A-Z_]*[A-Z])\b", sources))
    prefixed = {
        f"PERDURE_GATEWAY_{name.upper()}" for name in resolved("perdure.gateway.settings.GatewaySettings").model_fields
    }
    told = set(re.findall(r"^\| `((?:PERDURE|DAPR)_[A-Z_]+)` \|", TEXT, re.MULTILINE))
    services = text_of("docs/services.md")
    untold = {name for name in read | prefixed if name not in told and not re.search(rf"\b{name}\b", services)}
    assert untold <= {"PERDURE_HASH_SEED_SET"}  # a process tells its own re-execution by it; nobody sets it
    assert told <= read | prefixed
