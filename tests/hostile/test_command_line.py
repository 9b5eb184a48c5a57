"""Any arguments at all end with a documented exit code, in few words, and without a traceback."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import perdure
from perdure.adapters.memory.paging import page_token
from perdure.cli.exits import Exit
from perdure.embedding import EmbeddedEngine
from tests.cli.terminal import run_cli
from tests.hostile.strangers import many

DOCUMENTED = {int(code) for code in Exit} - {int(Exit.DEFECT)}
COMMANDS = (
    "get", "describe", "list", "history", "wait", "raise-event", "pause", "resume", "terminate", "purge", "rerun", "start",
    "dev", "run", "bootstrap", "bogus", "--version", "-h", "",
)  # fmt: skip
OPTIONS = (
    "--app", "--at", "--check", "--data", "--db", "--endpoint", "--id", "--input", "--json", "--limit", "--name",
    "--no-recursive", "--output", "--page", "--print", "--queue", "--since", "--status", "--timeout", "--until", "--wait",
    "--all", "--", "-", "--bogus",
)  # fmt: skip
VALUES = (
    "i1", "order", "", " ", "\ud800", "\udcff", "a/b", "..", "%00", "i" * 600, "99999999999999d", "9" * 5_000, "-1", "NaN",
    "[" * 50_000, "{", "null", '"\\ud800"', "@/nowhere", "@\0", "2026-13-01", "1e999", "\x1b[31m", "٣", "@/",
)  # fmt: skip
words = st.sampled_from(COMMANDS) | st.sampled_from(OPTIONS) | st.sampled_from(VALUES) | st.text(max_size=12)


@pytest.fixture(scope="module", autouse=True)
def engine(tmp_path_factory):
    """In this process, where commands find it; every workflow ends at once, so that no wait is for ever."""
    app = perdure.App()

    @app.workflow
    def order(ctx, input):
        return input
        yield

    folder = tmp_path_factory.mktemp("cli")
    with pytest.MonkeyPatch.context() as patch:
        for name in (
            "PERDURE_ENDPOINT",
            "DAPR_HTTP_ENDPOINT",
            "PERDURE_API_TOKEN",
            "PERDURE_DB",
            "PERDURE_LOG",
            "PERDURE_STORE",
        ):
            patch.delenv(name, raising=False)
        patch.chdir(folder)
        running = EmbeddedEngine(app, folder / "engine.db")
        running.start()
        run_cli("start", "order", "--id", "i1")
        yield running
        running.stop()


@many
@given(st.sampled_from(COMMANDS), st.lists(words, max_size=5))
@example("list", ["--limit", "9" * 5_000])
@example("list", ["--page", page_token(1 << 100, "x")])
@example("list", ["--name", "\ud800"])
@example("list", ["--since", "99999999999d"])
@example("start", ["order", "--at", "99999999999d"])
@example("start", ["order", "--input", "[" * 50_000])
@example("start", ["order", "--input", "@\0"])
@example("get", ["\ud800"])
def test_any_arguments_end_with_a_documented_code_and_no_traceback(command, arguments):
    told = run_cli(command, *arguments)
    assert told.code in DOCUMENTED, told.err
    assert "Traceback" not in told.err
    assert len(told.err) < 200_000
