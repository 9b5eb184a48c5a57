"""Dead letters: what could not be handled, looked at, sent again or put away. docs/dead-letters.md.

`DeadLetters` does it over the log's port, the same embedded and on Kafka.
"""

from perdure.letters.letter import DeadLetter, LetterRecord, Place, check_letter_id
from perdure.letters.listing import LetterFilter, LetterPage, LetterSource, list_letters
from perdure.letters.marks import Marks
from perdure.letters.settling import DeadLetters, Settlement, Settling, SettlingStats, find_letter

__all__ = [
    "DeadLetter", "DeadLetters", "LetterFilter", "LetterPage", "LetterRecord", "LetterSource", "Marks", "Place",
    "Settlement", "Settling", "SettlingStats", "check_letter_id", "find_letter", "list_letters",
]  # fmt: skip
