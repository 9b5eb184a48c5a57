"""docs/coverage.md tells the truth: every symbol resolves, every test exists, nothing is proved by nothing."""

import re
import subprocess
import sys
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
PROVES_KAFKA = (
    "tests/core/",
    "tests/workflow/",
    "tests/client/",
    "tests/gateway/",
    "tests/integration/services/",
    "tests/integration/telemetry/",
    "tests/faults/",
    "tests/upgrade/",
    "tests/scaling/",
    "tests/security/",
)
PROVES_THE_CHART = "tests/deploy/"
GUARD = "perdure.workflow.guard"
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
    assert proofs(row)
    assert proofs(row) <= known_tests(), sorted(proofs(row) - known_tests())


def proofs(row):
    """The row's tests."""
    return {code_in(cell) for cell in row["proved by"].split(", ")}


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
    assert f"\n{len(ROWS)} rows. " in text
    for engine in ("embedded", "Kafka"):
        counts = {state: sum(row[engine] == state for row in ROWS) for state in ("yes", "refused", "open")}
        told = ", ".join(f"{number} {state}" for state, number in counts.items())
        assert f"{engine.capitalize()}: {told}." in text


# -- what counts for Kafka -----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def on_brokers():
    """The acceptance tests that run on separate processes on real brokers, as pytest itself collects them."""
    command = [sys.executable, "-m", "pytest", "tests/acceptance", "-m", "brokers", "--collect-only", "-q"]
    done = subprocess.run(
        [*command, "-p", "no:cacheprovider"], cwd=ROOT, capture_output=True, text=True, timeout=300, check=True
    )
    return {line.partition("[")[0] for line in done.stdout.splitlines() if "::" in line}


def unproved_on_kafka(rows, on_brokers):
    """What the rows claim of Kafka, and no test of theirs shows."""

    def counts(test, row):
        if code_in(row["symbol"]).startswith("deploy/"):
            return test.startswith((*PROVES_KAFKA, PROVES_THE_CHART))
        return test in on_brokers or test.startswith(PROVES_KAFKA)

    return [
        id_of(row)
        for row in rows
        if row["Kafka"] == "yes" and (GUARD in row["symbol"] or not any(counts(test, row) for test in proofs(row)))
    ]


def test_whatever_is_claimed_of_kafka_ran_on_it_or_on_code_that_every_engine_runs(on_brokers):
    assert len(on_brokers) > 100
    assert unproved_on_kafka(ROWS, on_brokers) == []


@pytest.mark.parametrize(
    "change",
    [
        {"proved by": "`tests/acceptance/test_lifecycle_order.py::test_in_one_batch`"},  # in the kit alone
        {"proved by": "`tests/acceptance/test_trouble.py::test_whoever_waits_while_nothing_can_be_committed_is_told_why`"},
        {"proved by": "`tests/roles/orchestrator/test_takeover.py::test_rebalances_at_random_moments_under_load_change_nothing`"},
        {"symbol": "`perdure.workflow.guard.Guard`"},
        {"proved by": "`tests/deploy/test_least_rights.py::test_every_container_has_requests_and_limits`"},  # of the engine
    ],
)  # fmt: skip
def test_a_claim_without_its_proof_is_found(on_brokers, change):
    proved = next(row for row in ROWS if row["Kafka"] == "yes" and proofs(row) <= on_brokers)
    assert unproved_on_kafka([proved], on_brokers) == []
    assert unproved_on_kafka([proved | change], on_brokers) == [id_of(proved)]


def test_what_is_refused_is_refused_by_every_engine():
    assert [row["what"] for row in ROWS if (row["embedded"] == "refused") != (row["Kafka"] == "refused")] == []


def test_the_seven_patterns_have_their_sections():
    titles = re.findall(r"^## Pattern (\d):", text_of("docs/coverage.md"), re.MULTILINE)
    assert titles == [str(number) for number in range(1, 8)]
    assert all(Path(ROOT / "examples" / name).exists() for name in ("approval.py", "retries.py"))
