"""`--db FILE`: reading beside the engine that owns the file."""

import pytest

from tests.cli.terminal import until

pytestmark = pytest.mark.usefixtures("engine")


@pytest.fixture
def stored(cli, database, request):
    """An instance that the store holds, as its owner has it: the store is written behind the log."""
    instance_id = f"f-{abs(hash(request.node.name))}"
    assert cli("start", "order", "--id", instance_id, "--input", '{"amount": 3}', "--wait").code == 0
    until(lambda: '"COMPLETED"' in cli("get", instance_id, "--db", str(database), "--json").out)
    return instance_id


def test_a_file_is_read_beside_its_owner(cli, database, stored):
    told = cli("get", stored, "--db", str(database), "--json").json
    assert (told["runtimeStatus"], told["serializedOutput"]) == ("COMPLETED", '{"charged":3}')
    assert f"\n{stored} " in cli("list", "--db", str(database)).out
    assert len(cli("history", stored, "--db", str(database), "--json").json["events"]) == 4


def test_a_file_says_the_same_as_its_owner(cli, database, stored):
    assert cli("history", stored, "--db", str(database)).out == cli("history", stored).out
    assert cli("get", stored, "--db", str(database)).out == cli("get", stored).out


def test_filters_and_pages_work_on_a_file(cli, database, stored):
    assert cli("list", "--db", str(database), "--status", "failed", "--json").json == {"instances": [], "next": ""}
    assert cli("list", "--db", str(database), "--page", "nix").code == 2


@pytest.mark.parametrize("command", ["get", "history"])
def test_an_id_that_is_not_in_the_file_is_3(cli, database, command):
    told = cli(command, "nix", "--db", str(database))
    assert (told.code, told.out) == (3, "")
    assert "'nix'" in told.complaint


def test_a_file_that_is_not_there_is_3_and_is_not_made(cli, tmp_path):
    told = cli("list", "--db", str(tmp_path / "none.db"))
    assert told.code == 3
    assert "none.db" in told.complaint
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_no_database_is_4(cli, tmp_path):
    (tmp_path / "x.db").write_bytes(b"no database at all" * 100)
    told = cli("list", "--db", str(tmp_path / "x.db"))
    assert told.code == 4
    assert "x.db" in told.complaint
