"""The command line, `perdure`. What each command does, with examples and exit codes: docs/cli.md.

Law: nothing here is imported before it is needed. `perdure --help` loads neither an engine nor an HTTP client.
"""

__all__ = ["main"]


def main() -> None:
    """The console script."""
    from perdure.cli.program import program  # noqa: PLC0415 - importing the package must cost nothing

    program(prog_name="perdure")
