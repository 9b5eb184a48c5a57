"""The command line, `perdure`. What each command does, with examples and exit codes: docs/cli.md.

Law: nothing here is imported before it is needed. `perdure --help` loads neither an engine nor an HTTP client.
"""

import sys

__all__ = ["main"]


def main() -> None:
    """The console script."""
    if sys.argv[1:2] == ["run"]:  # before anything is imported that would be imported again
        from perdure.services.hash_seed import begin_again_with_fixed_seed  # noqa: PLC0415

        begin_again_with_fixed_seed()
    from perdure.cli.program import program  # noqa: PLC0415 - importing the package must cost nothing

    program(prog_name="perdure")
