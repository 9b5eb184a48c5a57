"""Exit codes: each error that a user can meet has one; a defect has a traceback."""

import subprocess
import sys

import pytest

from perdure.cli.exits import Exit, exit_of
from perdure.client import errors
from perdure.client.errors import rejection_error
from perdure.core.decide import REJECTIONS
from perdure.core.errors import PayloadError, PayloadTooLarge, PerdureError
from perdure.ports.errors import DatabaseDamaged, DatabaseInUse, StoreUnavailable


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.InstanceNotFound("x"), Exit.NOT_FOUND),
        (errors.UnknownWorkflowError("x", "UnknownWorkflow"), Exit.NOT_FOUND),
        (errors.WorkflowAlreadyExists("x", "AlreadyExists"), Exit.REJECTED),
        (errors.NotRunning("x", "NotRunning"), Exit.REJECTED),
        (errors.Unauthorized("x"), Exit.REJECTED),
        (errors.InvalidInstanceId("x"), Exit.USAGE),
        (errors.EngineUnavailable("x"), Exit.UNREACHABLE),
        (errors.EngineStopped("x"), Exit.UNREACHABLE),
        (PayloadError("x"), Exit.USAGE),
        (PayloadTooLarge("x"), Exit.USAGE),
        (ValueError("x"), Exit.USAGE),
        (TimeoutError("x"), Exit.TIMEOUT),
        (DatabaseInUse("x"), Exit.REJECTED),
        (DatabaseDamaged("x"), Exit.UNREACHABLE),
        (StoreUnavailable("x"), Exit.UNREACHABLE),
        (PerdureError("x"), Exit.UNREACHABLE),
    ],
)
def test_an_error_ends_in_its_code(error, code):
    assert exit_of(error) == code


@pytest.mark.parametrize("error", [TypeError("x"), KeyError("x"), AttributeError("x"), RuntimeError("x")])
def test_a_defect_is_none_of_them(error):
    assert exit_of(error) == Exit.DEFECT


def test_a_defect_shows_its_traceback(cli, monkeypatch):
    def broken(_):
        raise KeyError("nobody foresaw it")

    monkeypatch.setattr("perdure.cli.reading.connected", broken)
    told = cli("list")
    assert (told.code, told.out) == (70, "")
    assert "Traceback" in told.err


@pytest.mark.parametrize("reason", sorted(REJECTIONS))
def test_every_rejection_of_the_engine_ends_in_a_code_that_says_no(reason):
    assert exit_of(rejection_error(reason, "x")) in (Exit.USAGE, Exit.NOT_FOUND, Exit.UNREACHABLE, Exit.REJECTED)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["bogus"], "No such command 'bogus'. (perdure --help)"),
        (["get"], "Missing argument 'ID'. (perdure get --help)"),
        (["list", "--limit", "0"], "--limit"),
        (["start", "order", "--color"], "--color"),
        (["dev"], "--app"),
        (["list", "--endpoint", "http://x", "--db", "f"], "give one of them"),
    ],
)
def test_a_wrong_command_line_is_one_line_and_2(cli, arguments, told):
    result = cli(*arguments)
    assert (result.code, result.out) == (Exit.USAGE, "")
    assert told in result.err
    assert result.err.count("\n") == 1


def test_without_a_command_help_is_shown(cli):
    result = cli()
    assert result.code == Exit.USAGE
    assert "raise-event" in result.out


def test_the_version_is_told(cli):
    assert cli("--version").code == Exit.OK


def test_no_engine_anywhere_names_the_four_ways_to_one(cli, monkeypatch):
    monkeypatch.setattr("perdure.client.discovery.answers", lambda _: False)
    result = cli("get", "x")
    assert result.code == Exit.UNREACHABLE
    for way in ("--endpoint", "PERDURE_ENDPOINT", "DAPR_HTTP_ENDPOINT", "http://127.0.0.1:3500", "perdure dev"):
        assert way in result.complaint


def test_an_endpoint_where_nobody_listens_is_named_with_the_ways(cli, free_port):
    result = cli("list", "--endpoint", f"127.0.0.1:{free_port}")
    assert result.code == Exit.UNREACHABLE
    assert f"no gateway answers at http://127.0.0.1:{free_port}" in result.complaint
    assert "PERDURE_ENDPOINT" in result.complaint


def test_what_is_no_address_is_a_usage_error(cli):
    result = cli("list", "--endpoint", "ftp://example")
    assert (result.code, result.complaint.startswith("perdure: 'ftp://example' is no address")) == (Exit.USAGE, True)


def test_help_loads_neither_an_engine_nor_an_http_client():
    script = (
        "import sys\n"
        "from perdure.cli.program import program\n"
        "try: program(['--help'])\n"
        "except SystemExit: pass\n"
        "heavy = {'httpx', 'fastapi', 'uvicorn', 'sqlite3', 'perdure.assembly', 'perdure.embedded'} & set(sys.modules)\n"
        "sys.exit(', '.join(sorted(heavy)) or None)\n"
    )
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=30, check=False)
    assert (ran.returncode, ran.stderr) == (0, "")
