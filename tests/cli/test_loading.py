"""`--app module:app`: what is found, and what is said when nothing is."""

import sys

import pytest

import perdure as wf
from perdure.cli.exits import UsageError
from perdure.cli.loading import load_app


@pytest.fixture
def module(tmp_path, monkeypatch):
    """Writes a module into the current directory, under a name that is free."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [each for each in sys.path if each not in ("", str(tmp_path))])
    written = []

    def write(name, text):
        (tmp_path / f"{name}.py").write_text(text)
        written.append(name)

    yield write
    for name in written:
        sys.modules.pop(name, None)


def refusal(target):
    with pytest.raises(UsageError) as caught:
        load_app(target)
    text = str(caught.value)
    assert "\n" not in text
    return text


def test_an_app_is_found_in_the_current_directory(module):
    module("cli_good", "import perdure as wf\napp = wf.App()\n")
    assert isinstance(load_app("cli_good:app"), wf.App)


def test_an_app_may_be_held_by_something_else(module):
    module("cli_held", "import perdure as wf\nclass holder:\n    app = wf.App()\n")
    assert isinstance(load_app("cli_held:holder.app"), wf.App)


@pytest.mark.parametrize(
    ("target", "suggestion"),
    [
        ("orders", "orders:app"),
        ("orders.py", "orders:app"),
        ("orders:", "orders:app"),
        (":app", "orders:app"),
        ("", "orders:app"),
        ("orders.py:shop", "orders:shop"),
        ("./src/orders.py:app", "src.orders:app"),
    ],
)
def test_what_is_no_module_and_attribute_is_told_how_to_write_it(target, suggestion):
    assert refusal(target).endswith(suggestion)


def test_a_missing_module_is_named_with_the_place_that_was_searched(module, tmp_path):
    text = refusal("cli_absent:app")
    assert "'cli_absent'" in text
    assert str(tmp_path) in text


def test_a_missing_import_inside_the_module_is_told_with_its_line_and_not_as_a_missing_module(module, tmp_path):
    module("cli_imports", "import perdure\n\nimport cli_not_installed\n")
    text = refusal("cli_imports:app")
    assert "'cli_imports' cannot be imported: ModuleNotFoundError: No module named 'cli_not_installed'" in text
    assert f"{tmp_path}/cli_imports.py:3" in text


def test_an_error_at_import_is_told_with_its_message_and_the_users_own_line(module, tmp_path):
    module("cli_raises", "import perdure as wf\napp = wf.App()\napp.add_workflow(lambda ctx: None)\n")
    text = refusal("cli_raises:app")
    assert "ValueError: " in text
    assert f"{tmp_path}/cli_raises.py:3" in text  # not the line of Perdure's that raised it


def test_a_syntax_error_is_told_with_its_line(module, tmp_path):
    module("cli_syntax", "app = 1\ndef broken(:\n")
    text = refusal("cli_syntax:app")
    assert "SyntaxError" in text
    assert f"{tmp_path}/cli_syntax.py:2" in text


def test_a_module_that_exits_when_imported_is_told(module):
    module("cli_exits", "raise SystemExit(3)\n")
    assert "SystemExit: 3" in refusal("cli_exits:app")


def test_a_missing_attribute_lists_the_apps_there_are(module):
    module("cli_two", "import perdure as wf\nshop = wf.App()\nbakery = wf.App()\n")
    assert refusal("cli_two:app").endswith("There is cli_two:bakery, cli_two:shop")


def test_a_module_without_an_app_is_told_how_to_make_one(module):
    module("cli_none", "x = 1\n")
    assert "app = wf.App()" in refusal("cli_none:app")


def test_what_is_not_an_app_is_named_by_its_kind(module):
    module("cli_kind", "import perdure as wf\napp = {}\nreal = wf.App()\n")
    assert refusal("cli_kind:app") == "cli_kind:app is a dict, not a perdure.App. There is cli_kind:real"


def test_a_workflow_runtime_is_told_where_its_app_is(module):
    module("cli_runtime", "import perdure as wf\nruntime = wf.WorkflowRuntime()\n")
    assert refusal("cli_runtime:runtime").endswith("write cli_runtime:runtime.app")
    assert isinstance(load_app("cli_runtime:runtime.app"), wf.App)
