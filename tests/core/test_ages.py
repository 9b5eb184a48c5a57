"""How long what has ended is kept, as a text."""

import re

import pytest

from perdure.core.ages import read_ages


def test_ages_are_read_by_status_and_in_any_unit():
    read = read_ages("COMPLETED=30d, TERMINATED=36h ,FAILED = 90m,")
    assert read == {"COMPLETED": 30 * 86_400, "TERMINATED": 36 * 3_600, "FAILED": 90 * 60}
    assert read_ages("FAILED=1s") == {"FAILED": 1}


@pytest.mark.parametrize("nothing", ["", " ", ","])
def test_without_ages_everything_is_kept(nothing):
    assert read_ages(nothing) == {}


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("COMPLETED", "'COMPLETED' is no STATUS=AGE: write such as COMPLETED=30d"),
        ("COMPLETED:30d", "is no STATUS=AGE"),
        ("completed=30d", "'completed' is no status that an instance ends with: write COMPLETED, FAILED, TERMINATED"),
        ("RUNNING=30d", "'RUNNING' is no status that an instance ends with"),
        ("STALLED=1d", "'STALLED' is no status"),
        ("FAILED=1d,COMPLETED=2d,FAILED=3d", "FAILED is given twice"),
        ("FAILED=", "'' is no age for FAILED: a whole number and s, m, h or d"),
        ("FAILED=30", "'30' is no age"),
        ("FAILED=3w", "'3w' is no age"),
        ("FAILED=1.5h", "'1.5h' is no age"),
        ("FAILED=-1d", "'-1d' is no age"),
        ("FAILED=0s", "'0s' is no age"),
        ("FAILED=٣d", "is no age"),
        ("FAILED=36501d", "'36501d' is no age for FAILED: a whole number and s, m, h or d, from 1s to 36500d"),
        ("FAILED=9999999999s", "is no age"),
    ],
)
def test_what_is_no_age_is_told_with_what_to_write(text, told):
    with pytest.raises(ValueError, match=re.escape(told)):
        read_ages(text)
