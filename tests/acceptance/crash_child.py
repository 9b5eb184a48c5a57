"""A process to be killed: an engine on a file, and a client that repeats its requests.

python -m tests.acceptance.crash_child FILE PATTERN…
"""

from __future__ import annotations

import sys

import perdure as wf

from .crash_programs import PATTERNS, app


def main(path: str, *names: str) -> None:
    patterns = [PATTERNS[name] for name in names]
    with wf.embedded(app, path) as client:
        for pattern in patterns:
            pattern.ask(client)
        for pattern in patterns:
            pattern.end(client)


if __name__ == "__main__":
    main(*sys.argv[1:])
