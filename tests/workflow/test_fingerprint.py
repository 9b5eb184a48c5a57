import functools
import os
import subprocess
import sys

from perdure.workflow.fingerprint import code_fingerprint

SOURCE = """
def wf(ctx, input):
    kinds = input in {"a", "b", "c", "d", (1, 2)}
    later = lambda value: value + 1
    yield kinds, later, 1.5
"""


def made(source, name="wf", **known):
    names = dict(known)
    exec(compile(source, "<a text>", "exec"), names)
    return names[name]


def test_the_same_source_gives_the_same_text():
    first = code_fingerprint(made(SOURCE))
    assert len(first) == 16
    assert int(first, 16) >= 0
    assert first == code_fingerprint(made("\n\n\n" + SOURCE))


def test_code_constants_and_nested_code_count():
    changed = [
        SOURCE.replace("value + 1", "value + 2"),
        SOURCE.replace("value + 1", "value - 1"),
        SOURCE.replace('"d"', '"e"'),
        SOURCE.replace("1.5", "1"),
        SOURCE.replace("1.5", "True"),
        SOURCE.replace("(1, 2)", "(2, 1)"),
        SOURCE.replace("ctx, input", "ctx, input=None"),
        SOURCE.replace("ctx, input", "ctx, input=3"),
    ]
    assert len({code_fingerprint(made(source)) for source in [SOURCE, *changed]}) == 9


def test_a_wrapped_functions_own_code_counts():
    def wrapped(source):
        inner = made(source)

        @functools.wraps(inner)
        def wrapper(*args):
            return inner(*args)

        return wrapper

    assert code_fingerprint(wrapped(SOURCE)) != code_fingerprint(wrapped(SOURCE.replace("1.5", "2.5")))
    part = functools.partial(made(SOURCE), input=1)
    assert code_fingerprint(part) != code_fingerprint(functools.partial(made(SOURCE.replace("1.5", "2.5"))))


def test_a_callable_object_has_one_and_a_cycle_of_wrappers_ends():
    class Wf:
        def __call__(self, ctx):
            return 1

    assert code_fingerprint(Wf()) == code_fingerprint(Wf())
    assert code_fingerprint(len) == code_fingerprint(len)

    def self_wrapped(): ...

    self_wrapped.__wrapped__ = self_wrapped
    assert code_fingerprint(self_wrapped)


def in_a_process(path, seed):
    code = (
        f"import sys; sys.path.insert(0, {str(path)!r}); import orders\n"
        "from perdure.workflow.fingerprint import code_fingerprint; print(code_fingerprint(orders.wf))"
    )
    environment = {**os.environ, "PYTHONHASHSEED": seed, "PYTHONDONTWRITEBYTECODE": "1"}
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    return found.stdout.strip()


def test_it_is_the_same_in_every_process_and_follows_the_modules_file(tmp_path):
    module = tmp_path / "orders.py"
    module.write_text(SOURCE)
    first = in_a_process(tmp_path, "1")
    assert first == in_a_process(tmp_path, "2")
    module.write_text(SOURCE + "\nNEIGHBOUR = 1\n")
    assert in_a_process(tmp_path, "1") != first
