"""The grants of the plan and the tables that there are. That they are enough, and needed: tests/security."""

import re

from perdure.adapters.cassandra.migrations import known_migrations
from perdure.services.grants import grants_of

ON_TABLE = re.compile(r'GRANT (SELECT|MODIFY) ON TABLE ks\.(\w+) TO "([\w-]+)"')


def told(right):
    found = [ON_TABLE.fullmatch(each) for each in grants_of("ks")]
    return {(each[3], each[2]) for each in found if each and each[1] == right}


def tables():
    statements = [each for migration in known_migrations() for each in migration.statements]
    made = [re.match(r"CREATE TABLE IF NOT EXISTS (\w+)", each) for each in statements]
    return {each[1] for each in made if each}


def test_every_table_is_read_and_written_by_somebody_but_its_versions_by_bootstrap_alone():
    """A table that a new migration brings is found here, before a service is refused on it."""
    assert {table for _, table in told("SELECT")} == tables()
    assert {table for _, table in told("MODIFY")} == tables() - {"schema_versions"}


def test_no_table_is_written_by_two_services():
    written = [table for role, table in told("MODIFY") if role != "grow"]
    assert len(written) == len(set(written))


def test_nothing_but_the_making_of_keyspaces_is_granted_beyond_a_table():
    assert [each for each in grants_of("ks") if not ON_TABLE.fullmatch(each)] == [
        "GRANT CREATE ON ALL KEYSPACES TO bootstrap"
    ]
