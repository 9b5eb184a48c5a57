"""Cassandra's grants, as the plan says them; and which of them its audit log tells to have been used, and refused."""

from __future__ import annotations

import re
from dataclasses import dataclass

from tests.brokers.places import run_folder

GRANT = re.compile(r'GRANT (?P<right>\w+) ON TABLE (?P<keyspace>\w+)\.(?P<table>\w+) TO "?(?P<role>[\w-]+)"?')
REQUEST = re.compile(
    r"user:(?P<role>[\w-]+)\|.*\|type:(?P<right>SELECT|UPDATE|DELETE)\|.*\|ks:(?P<keyspace>\w+)\|scope:(?P<table>\w+)\|"
)
REFUSED = re.compile(
    r"User (?P<role>[\w-]+) has no (?P<right>\w+) permission on <table (?P<keyspace>\w+)\.(?P<table>\w+)>"
)


@dataclass(frozen=True, order=True)
class Grant:
    """One permission on one table of a keyspace, for one role."""

    role: str
    right: str
    table: str

    def __str__(self):
        return f"{self.role}: {self.right} {self.table}"

    def giving(self, keyspace):
        return f'GRANT {self.right} ON TABLE {keyspace}.{self.table} TO "{self.role}"'

    def taking(self, keyspace):
        return f'REVOKE {self.right} ON TABLE {keyspace}.{self.table} FROM "{self.role}"'


def grants_in(statements):
    """Of a plan's `grants`, those on tables: whoever creates owns, and has the only other one."""
    found = [GRANT.fullmatch(each) for each in statements]
    return [Grant(each["role"], each["right"], each["table"]) for each in found if each]


def used_grants(keyspace, roles):
    """Without which a request of one of these would have been refused: they own nothing there. Batches are told one by one."""
    return {each for each in _told(REQUEST, keyspace) if each.role in roles}


def refused_grants(keyspace):
    return _told(REFUSED, keyspace)


def _told(pattern, keyspace):
    found = set()
    with (run_folder("secured-cassandra") / "rights.log").open(encoding="utf-8", errors="replace") as file:
        for line in file:
            match = pattern.search(line)
            if match and match["keyspace"] == keyspace:
                found.add(Grant(match["role"], "SELECT" if match["right"] == "SELECT" else "MODIFY", match["table"]))
    return found
