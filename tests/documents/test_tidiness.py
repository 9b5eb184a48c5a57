"""The code stays readable: files and functions of a size, and a reason for each rule that is not followed."""

import ast
import re

import pytest

from tests.documents.markdown import ROOT, text_of

FILE_LINES_MAX = 400
FUNCTION_LINES_MAX = 75
EXCEPTIONS: dict[str, str] = {}
"""Files that may be longer, and why."""

SOURCES = sorted((ROOT / "src").rglob("*.py"))


def test_no_file_is_too_long_to_be_read():
    long = [
        f"{place}: {lines} lines"
        for path in SOURCES
        if (lines := len(path.read_text(encoding="utf-8").splitlines())) > FILE_LINES_MAX
        and (place := path.relative_to(ROOT).as_posix()) not in EXCEPTIONS
    ]
    assert long == []


def test_every_exception_is_one():
    for place in EXCEPTIONS:
        assert len(text_of(place).splitlines()) > FILE_LINES_MAX, f"{place} is short now: take it off the list"


def test_no_function_is_longer_than_a_screen_or_so():
    long = [
        f"{path.relative_to(ROOT)}: {node.name} has {node.end_lineno - node.lineno + 1} lines"
        for path in SOURCES
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and node.end_lineno - node.lineno + 1 > FUNCTION_LINES_MAX
    ]
    assert long == []


def test_every_module_says_what_it_is():
    silent = [
        str(path.relative_to(ROOT))
        for path in SOURCES
        if path.stat().st_size and ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) is None
    ]
    assert silent == []


def test_no_module_is_a_drawer():
    drawers = {"utils", "util", "common", "helpers", "helper", "misc"}
    assert [path for path in SOURCES if path.stem in drawers or path.parent.name in drawers] == []


def test_every_lint_rule_that_is_ignored_has_its_reason():
    listed = re.search(r"^ignore = \[\n(.*?)^\]", text_of("pyproject.toml"), re.DOTALL | re.MULTILINE)
    assert listed is not None
    for line in listed[1].splitlines():
        assert re.search(r"\"[A-Z]+\d+\",\s+# \w", line), line


@pytest.mark.parametrize("folder", ["tests", "examples", "loadtest"])
def test_what_a_folder_may_ignore_stands_below_a_reason(folder):
    lines = text_of("pyproject.toml").splitlines()
    place = next(i for i, line in enumerate(lines) if line.startswith(f'"{folder}/**"'))
    assert any(line.startswith("#") for line in lines[place - 3 : place]) or "#" in lines[place]


def test_what_is_silenced_in_the_code_has_its_reason_beside_it():
    bare = [
        f"{path.relative_to(ROOT)}:{number}"
        for path in SOURCES
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if re.search(r"# noqa: (BLE|S1|S3)", line) and not re.search(r"# noqa: [A-Z0-9, ]+ - \S", line)
    ]
    assert bare == []
