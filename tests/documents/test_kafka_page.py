"""docs/kafka.md: what it says of numbers, names and reasons is what the code has. Its program runs in
tests/integration/services/test_contract.py.
"""

import re

from perdure.codec.avro import encode
from perdure.core.headers import COMMAND_ID, CONTENT_TYPE
from perdure.core.refusals import REJECTIONS
from perdure.services.settings import ServiceSettings
from tests.documents import contract
from tests.documents.markdown import ROOT, rows, text_of

PAGE = text_of("docs/kafka.md")


def test_the_reasons_that_are_explained_are_the_engines():
    told = {
        word
        for row in rows(PAGE)
        if "what to do" in row
        for word in re.findall(r"`([^`]+)`", row["reason begins with"])
    }
    sources = "".join((ROOT / "src/perdure" / name).read_text() for name in SOURCES)
    assert len(told) > 8
    for word in told:
        assert word in REJECTIONS or word in sources, word


SOURCES = ("codec/avro.py", "codec/json_commands.py", "roles/orchestrator/intake.py")


def test_the_hours_are_the_settings_default():
    hours = ServiceSettings.model_fields["history_hours"].default
    assert f"`PERDURE_HISTORY_HOURS` ({hours:g})" in PAGE
    assert f"`PERDURE_HISTORY_HOURS` ({hours:g})" in text_of("schemas/README.md")


def test_the_sizes_are_those_of_the_examples():
    commands = [contract.sample(cls) for cls in contract.CLIENT_COMMANDS]
    events = [contract.sample(cls) for cls in contract.EVENTS]
    assert {
        spread(map(len, map(encode, commands)), 20, 60),
        spread(map(len, map(contract.as_json, commands)), 75, 130),
    } == {True}
    assert spread(map(len, map(encode, events)), 29, 100)
    for told in ("20 to 60 bytes in Avro, 80 to 130 in JSON", "30 to 100 bytes"):
        assert told in PAGE


def spread(sizes, least, most):
    return all(least <= size <= most for size in sizes)


def test_the_headers_of_the_page_are_the_engines():
    assert CONTENT_TYPE in PAGE
    assert COMMAND_ID in PAGE
