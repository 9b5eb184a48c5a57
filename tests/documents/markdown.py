"""What the documents say, as values: tables, code blocks, links; and what the code has, to hold them against it."""

from __future__ import annotations

import ast
import importlib
import inspect
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]

FENCE = re.compile(r"^```(\w*)\n(.*?)^```", re.DOTALL | re.MULTILINE)


def text_of(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def documents() -> list[Path]:
    """Every page of prose in the repository."""
    folders = [
        ROOT,
        *(ROOT / name for name in ("docs", "docs/adr", "docs/operations", "schemas", "examples", "loadtest")),
    ]
    return sorted(path for folder in folders if folder.is_dir() for path in folder.glob("*.md"))


def blocks(text: str, language: str) -> list[str]:
    return [code for found, code in FENCE.findall(text) if found == language]


def rows(text: str) -> Iterator[dict[str, str]]:
    """The rows of all its tables, by column; `section` is the heading above."""
    section, columns = "", []
    for line in FENCE.sub("", text).splitlines():
        if line.startswith("#"):
            section, columns = line.lstrip("# "), []
        elif not line.startswith("|"):
            columns = []
        elif set(line) <= set("|-: "):
            continue
        else:
            cells = [cell.strip().replace("\\|", "|") for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
            if not columns:
                columns = cells
                continue
            assert len(cells) == len(columns), f"{section}: {line}"
            yield {"section": section, **dict(zip(columns, cells, strict=True))}


def code_in(cell: str) -> str:
    """The cell's code without its backticks; `""` if it is none."""
    found = re.fullmatch(r"`(.+)`", cell)
    return found[1] if found else ""


@cache
def known_tests() -> frozenset[str]:
    """Every test as `tests/file.py::name`, parameters aside."""
    found = set()
    for path in (ROOT / "tests").rglob("test_*.py"):
        place = path.relative_to(ROOT).as_posix()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_"):
                found.add(f"{place}::{node.name}")
            elif isinstance(node, ast.Assign):  # a state machine's TestCase
                names = [target.id for target in node.targets if isinstance(target, ast.Name)]
                found.update(f"{place}::{name}" for name in names if name.startswith("Test"))
    return frozenset(found)


def named_tests(text: str) -> list[str]:
    return re.findall(r"`(tests/[^`\s]+::[^`\s]+)`", text)


def resolved(symbol: str) -> Any:
    """What a dotted path means. Raises LookupError."""
    parts = symbol.split(".")
    for end in range(len(parts), 0, -1):
        try:
            found: Any = importlib.import_module(".".join(parts[:end]))
        except ModuleNotFoundError:
            continue
        for name in parts[end:]:
            if not hasattr(found, name) and name not in getattr(found, "__annotations__", {}):
                raise LookupError(f"{symbol}: {found!r} has no {name!r}")
            found = getattr(found, name, None)
        return found
    raise LookupError(f"{symbol}: there is no such module")


def parameters(function: Any) -> dict[str, inspect.Parameter]:
    return dict(inspect.signature(function).parameters)


@cache
def routes() -> frozenset[str]:
    """Method and path of every route, the names of path parameters left out: "GET /v1/instances/{}"."""
    from perdure.client.client import AsyncWorkflowClient
    from perdure.gateway.http import create_app
    from perdure.gateway.settings import GatewaySettings

    app = create_app(AsyncWorkflowClient(None), settings=GatewaySettings(api_token=None))
    return frozenset(
        plain_route(f"{method.upper()} {path}") for path, verbs in app.openapi()["paths"].items() for method in verbs
    )


def plain_route(route: str) -> str:
    return re.sub(r"\{[^}]*\}", "{}", route)


@cache
def error_codes() -> frozenset[str]:
    """Codes that the gateway's source names."""
    sources = [*(ROOT / "src/perdure/gateway").glob("*.py"), ROOT / "src/perdure/client/wire.py"]
    return frozenset(code for path in sources for code in re.findall(r'"(ERR_[A-Z_]+)"', path.read_text()))
