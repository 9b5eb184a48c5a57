"""docs/cli.md is run: every command in it is typed, and prints what the page shows."""

import asyncio
import re
import shlex
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from perdure.assembly import sqlite_ports, topic_specs
from perdure.cli.exits import Exit
from perdure.cli.program import program
from perdure.core.names import Topics
from perdure.ports.log import Outgoing
from tests.cli.terminal import dev_process, run_cli, until

PAGE = Path(__file__).parent.parent.parent / "docs" / "cli.md"
READING = re.compile(r"perdure (get|describe|list|history|dead-letters (list|show))\b")
TOPICS = Topics("perdure")
PLACES = (
    (r"\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d\.\d+Z", "<time>"),
    (r"http://127\.0\.0\.1:\d+", "<url>"),
    (r"(database +|\b(?:at +|File \")).*?([^/ ]+\.(?:db|py))", r"\1<folder>/\2"),
    (r"--page \S+", "--page <token>"),
    (r"\b\d+\.\d+\.\d+\b", "<run>"),
    (r"orchestrator-[0-9a-f]{12}", "<owner>"),
    (r"(?m)^((?:store )?lag +)\d+ ", r"\1<some> "),
    (r"(?m)[ ]+$", ""),
)
"""What differs from run to run, and its name."""


@dataclass
class Example:
    command: str
    output: str


def examples(page):
    """The commands of the page's console blocks, each with the lines that follow it."""
    for block in re.findall(r"^```console\n(.*?)^```", page, flags=re.MULTILINE | re.DOTALL):
        for each in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            command, _, output = each.partition("\n")
            yield Example(command, output)


def same_every_time(text):
    for pattern, name in PLACES:
        text = re.sub(pattern, name, text)
    return text.strip("\n")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """With the page's orders.py in it."""
    source = re.search(
        r"^```python\n# orders\.py\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL
    )
    (tmp_path / "orders.py").write_text(source[1], encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    asyncio.run(write_garbage(tmp_path / "perdure.db"))
    return tmp_path


async def write_garbage(path):
    """What the page's dead letters were, before anybody serves the file."""
    ports = await sqlite_ports(path, TOPICS)
    await ports.log.create_topics(topic_specs(TOPICS, 1))
    await ports.log.append([Outgoing(TOPICS.instances, 0, key, b"no command") for key in (b"order-7", b"order-8")])
    await ports.close()


def test_every_example_prints_what_the_page_shows(folder, monkeypatch):
    first, *others = examples(PAGE.read_text(encoding="utf-8"))
    assert first.command == "perdure dev --app orders:app"
    with dev_process(folder, *shlex.split(first.command)[2:]) as dev:
        said = "".join(dev.line() for _ in first.output.splitlines())
        assert same_every_time(said) == same_every_time(first.output)
        monkeypatch.setenv("PERDURE_ENDPOINT", re.search(r"http://\S+", said)[0])
        code = 0
        for example in others:
            if example.command == "echo $?":
                assert example.output == f"{code}\n"
                continue

            def tried(example=example):
                """What is read may be on its way: an activity still runs, the store is written behind the log."""
                told = run_cli(*shlex.split(example.command)[1:])
                matches = same_every_time(told.both) == same_every_time(example.output)
                return told if matches or not READING.match(example.command) or time.monotonic() > give_up_at else None

            give_up_at = time.monotonic() + 8
            told = until(tried)
            code = told.code
            assert same_every_time(told.both) == same_every_time(example.output), example.command
        assert dev.end().code == 0


def test_every_command_and_every_code_has_its_place_on_the_page():
    page = PAGE.read_text(encoding="utf-8")
    for command in [*program.registered_commands, *program.registered_groups]:
        assert re.search(rf"^## .*perdure {command.name}\b", page, re.MULTILINE), command.name
    for group in program.registered_groups:
        assert re.search(rf"^## .*perdure {group.name}\b", page, re.MULTILINE), group.name
        for command in group.typer_instance.registered_commands:
            assert re.search(rf"perdure {group.name} {command.name}\b", page), (group.name, command.name)
    codes = {int(code) for code in re.findall(r"^\| (\d+) \|", page, re.MULTILINE)}
    assert codes == {code.value for code in Exit}
