"""README, ARCHITECTURE and the pages around them: their code runs, their links lead somewhere, their tests exist.

The pages that are tables (docs/from-dapr.md, docs/coverage.md, docs/limits.md, schemas/README.md) have their own tests in
`tests/documents/`.
"""

import ast
import os
import re
import shlex
import subprocess
import sys

import pytest

from tests.documents.markdown import FENCE, ROOT, blocks, code_in, documents, known_tests, named_tests, rows, text_of

PAGES = documents()


def id_of(page):
    return page.relative_to(ROOT).as_posix()


def test_the_example_of_the_readme_runs_as_it_stands(tmp_path):
    (code,) = blocks(text_of("README.md"), "python")
    (tmp_path / "orders.py").write_text(code)
    keep = {name: value for name, value in os.environ.items() if not name.startswith(("PERDURE_", "DAPR_"))}
    done = subprocess.run(
        [sys.executable, "orders.py"], cwd=tmp_path, env={**keep, "PYTHONHASHSEED": "0"}, capture_output=True, text=True,
        timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout == 'COMPLETED {"reservation":"r-7","payment":"p-7","by":"ops"}\n'
    assert (tmp_path / "orders.db").exists()


@pytest.mark.parametrize("page", PAGES, ids=id_of)
def test_python_in_a_page_is_python(page):
    for code in blocks(page.read_text(encoding="utf-8"), "python"):
        ast.parse(code)


@pytest.mark.parametrize("page", PAGES, ids=id_of)
def test_commands_in_a_page_are_commands(page):
    from typer.main import get_command

    from perdure.cli.program import program

    known = set(get_command(program).commands)
    goals = set(re.findall(r"^([a-z]+):", text_of("Makefile"), re.MULTILINE))
    for block in blocks(page.read_text(encoding="utf-8"), "console"):
        for line in block.splitlines():
            if not line.startswith("$ "):
                continue
            words = shlex.split(line[2:], comments=True)
            if words[0] == "perdure":
                assert words[1] in known, line
            elif words[0] == "make":
                assert words[1] in goals, line


@pytest.mark.parametrize("page", PAGES, ids=id_of)
def test_links_lead_somewhere(page):
    prose = FENCE.sub("", page.read_text(encoding="utf-8"))
    for target in re.findall(r"\]\(([^)\s]+)\)", prose):
        if re.match(r"https?://|mailto:", target):
            continue
        file, _, anchor = target.partition("#")
        linked = (page.parent / file).resolve() if file else page
        assert linked.exists(), target
        if anchor:
            headings = re.findall(r"^#+ (.*)$", linked.read_text(encoding="utf-8"), re.MULTILINE)
            assert anchor in {anchor_of(heading) for heading in headings}, target


def anchor_of(heading):
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


@pytest.mark.parametrize("page", PAGES, ids=id_of)
def test_every_test_that_a_page_names_exists(page):
    missing = [
        name for name in named_tests(page.read_text(encoding="utf-8")) if name.partition("[")[0] not in known_tests()
    ]
    assert missing == []


def test_every_invariant_has_its_number_and_its_test():
    section = text_of("ARCHITECTURE.md").partition("\n## Invariants\n")[2].partition("\n## ")[0]
    lines = re.findall(r"^(\d+)\. (.*)$", section, re.MULTILINE)
    assert [int(number) for number, _ in lines] == list(range(1, len(lines) + 1))
    assert len(lines) >= 20
    for number, line in lines:
        assert re.search(r"`tests/\S+::\w+`$", line), f"invariant {number} names no test at its end"


def test_every_place_of_the_readme_exists():
    places = [
        cell for row in rows(text_of("README.md")) if "place" in row for cell in re.findall(r"`([^`]+)`", row["place"])
    ]
    assert len(places) > 10
    for place in places:
        parent = "src/perdure" if place in ("gateway/", "cli/") else ""
        assert (ROOT / parent / place).exists(), place


def test_decisions_are_numbered_and_have_their_four_parts():
    pages = sorted((ROOT / "docs/adr").glob("*.md"))
    numbers = [int(page.name[:4]) for page in pages]
    assert numbers == list(range(1, len(pages) + 1))
    for page in pages:
        text = page.read_text(encoding="utf-8")
        assert re.match(rf"# {page.name[:4]}: \w", text), page.name
        assert re.findall(r"^## (.*)$", text, re.MULTILINE) == ["Context", "Decision", "Consequences", "Rejected"], (
            page.name
        )
        assert len(text.splitlines()) <= 70, f"{page.name} is longer than a page"


def test_every_goal_of_make_is_explained_where_it_is_asked_for():
    told = subprocess.run(
        ["make", "-s", "help"], cwd=ROOT, capture_output=True, text=True, timeout=30, check=True
    ).stdout
    for goal in ("demo", "test", "bench"):
        assert f"make {goal}" in told


def test_every_test_folder_has_its_row_in_contributing():
    table = [code_in(row["tests"]) for row in rows(text_of("CONTRIBUTING.md")) if "tests" in row]
    folders = [
        folder.relative_to(ROOT).as_posix() + "/"
        for folder in sorted((ROOT / "tests").rglob("*"))
        if folder.is_dir() and any(folder.glob("test_*.py"))
    ]
    assert sorted(table) == sorted([*folders, "tests/*.py"])
