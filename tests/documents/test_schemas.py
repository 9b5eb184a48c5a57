"""schemas/README.md lists every record as the files have it."""

from perdure.codec.schemas import load_schemas
from perdure.core.commands import Command
from tests.documents.markdown import ROOT, code_in, rows, text_of

ROWS = list(rows(text_of("schemas/README.md")))
TABLE = [row for row in ROWS if "record" in row]
FAMILIES = [row for row in ROWS if "family" in row]


def test_every_record_is_in_the_table_with_its_family_its_fingerprint_and_its_words():
    told = {code_in(row["record"]): (row["section"], code_in(row["fingerprint"]), row["what it says"]) for row in TABLE}
    assert told == {
        schema.name: (schema.family, schema.header[2:].hex(), first_sentence(schema.source))
        for schema in load_schemas()
        if schema.current
    }


def first_sentence(source):
    return source.get("doc", "").partition("\n")[0] or "–"


def test_every_family_is_told_with_the_number_of_its_records():
    told = {code_in(row["family"]): int(row["records"]) for row in FAMILIES}
    found = {}
    for schema in load_schemas():
        found[schema.family] = found.get(schema.family, 0) + schema.current
    assert told == found
    assert told["command"] == len(Command.__args__)


def test_nothing_but_schemas_lies_in_the_folders():
    strangers = [path for path in (ROOT / "schemas").glob("*/*") if path.suffix != ".avsc"]
    assert strangers == []
