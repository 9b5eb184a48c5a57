"""docs/coverage.md tells the truth: every symbol resolves, every test exists, nothing is proved by nothing."""

import re
from pathlib import Path

import pytest

from tests.documents.markdown import (
    ROOT,
    code_in,
    error_codes,
    known_tests,
    parameters,
    plain_route,
    resolved,
    routes,
    rows,
    text_of,
)  # fmt: skip

ROWS = list(rows(text_of("docs/coverage.md")))
COLUMNS = {"section", "what", "symbol", "proved by", "embedded", "Kafka"}


def id_of(row):
    return f"{row['section']}: {row['what']}"


@pytest.mark.parametrize("row", ROWS, ids=id_of)
def test_a_rows_symbol_and_test_are_there(row):
    assert set(row) == COLUMNS
    assert row["embedded"] in ("yes", "refused", "open")
    assert row["Kafka"] in ("yes", "refused", "open")
    if row["embedded"] == row["Kafka"] == "open":
        assert (row["symbol"], row["proved by"]) == ("–", "–"), "what is open has nothing to show"
        return
    check_symbol(code_in(row["symbol"]))
    assert code_in(row["proved by"]) in known_tests()


def check_symbol(symbol):
    if symbol.startswith("ERR_"):
        assert symbol in error_codes()
    elif re.match(r"(GET|POST) /", symbol):
        assert plain_route(symbol) in routes()
    elif "/" in symbol:
        assert (ROOT / symbol).exists()
    else:
        path, _, parameter = symbol.removesuffix(")").partition("(")
        target = resolved(path)
        if parameter:
            assert parameter in parameters(target)


def test_no_row_is_told_twice():
    assert len({id_of(row) for row in ROWS}) == len(ROWS)


def test_whatever_the_page_for_dapr_users_tells_has_its_row():
    told = {row["Dapr"] for row in rows(text_of("docs/from-dapr.md")) if "Dapr" in row}
    covered = {row["what"] for row in ROWS}
    assert told <= covered, sorted(told - covered)


def test_what_is_refused_there_is_refused_here():
    here = {row["Dapr"]: row["here"] for row in rows(text_of("docs/from-dapr.md")) if "Dapr" in row}
    for row in ROWS:
        if row["what"] in here:
            assert (row["embedded"] == "refused") == (here[row["what"]] == "refused"), row["what"]
            assert (row["embedded"] == "open") == (here[row["what"]] == "open"), row["what"]


def test_the_count_at_the_top_is_the_count_below():
    text = text_of("docs/coverage.md")
    counts = {state: sum(row["embedded"] == state for row in ROWS) for state in ("yes", "refused", "open")}
    told = re.search(r"(\d+) rows: (\d+) yes, (\d+) refused, (\d+) open", text)
    assert told is not None
    assert tuple(map(int, told.groups())) == (len(ROWS), counts["yes"], counts["refused"], counts["open"])


def test_the_seven_patterns_have_their_sections():
    titles = re.findall(r"^## Pattern (\d):", text_of("docs/coverage.md"), re.MULTILINE)
    assert titles == [str(number) for number in range(1, 8)]
    assert all(Path(ROOT / "examples" / name).exists() for name in ("approval.py", "retries.py"))
