"""`--app package.module:attribute` to an App: for `perdure dev`, and for the services.

Whatever is wrong with it is the user's to mend, so every way to fail is one sentence that says where to look.
"""

from __future__ import annotations

import importlib
import sys
import traceback
from functools import reduce
from pathlib import Path
from types import ModuleType

from perdure.cli.exits import UsageError
from perdure.workflow.app import App

__all__ = ["load_app"]

_ENGINE = str(Path(__file__).parent.parent)


def load_app(target: str) -> App:
    """The App that `target` names; the current directory is searched first. Raises UsageError."""
    module_name, colon, attribute = target.partition(":")
    if not colon or not module_name or not attribute:
        raise UsageError(f"--app {target!r} names no App: write module:attribute, such as {_suggestion(target)}")
    if module_name.endswith(".py") or "/" in module_name:
        raise UsageError(f"--app {target!r} is a file's path: write {_suggestion(target)}")
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)
    module = _imported(module_name)
    try:
        found = reduce(getattr, attribute.split("."), module)
    except AttributeError:
        raise UsageError(f"module {module_name!r} has no {attribute!r}. {_apps_in(module)}") from None
    if isinstance(found, App):
        return found
    held = getattr(found, "app", None)  # Dapr's shape: a WorkflowRuntime holds its App
    if isinstance(held, App):
        raise UsageError(f"{target} is a {type(found).__name__}: write {target}.app")
    raise UsageError(f"{target} is a {type(found).__name__}, not a perdure.App. {_apps_in(module)}")


def _imported(name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is not None and (name == error.name or name.startswith(error.name + ".")):
            raise UsageError(
                f"there is no module {error.name!r} in {Path.cwd()} or on PYTHONPATH: start in the folder that holds it"
            ) from None
        raise UsageError(_failed(name, error)) from None
    except (Exception, SystemExit) as error:  # noqa: BLE001 - a module's own code may raise anything
        raise UsageError(_failed(name, error)) from None


def _failed(name: str, error: BaseException) -> str:
    if isinstance(error, SyntaxError):
        what, where = error.msg, f"{error.filename}:{error.lineno}"
    else:
        what, where = str(error) or "no message", _place_of(error)
    return f"module {name!r} cannot be imported: {type(error).__name__}: {what} ({where})"


def _place_of(error: BaseException) -> str:
    """The innermost line of the user's own code: what a library or Perdure did there says less."""
    frames = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if not frame.filename.startswith(("<frozen", _ENGINE)) and frame.filename != importlib.__file__
    ]
    own = [frame for frame in frames if "-packages" not in frame.filename] or frames
    return f"{own[-1].filename}:{own[-1].lineno}" if own else "in the import itself"


def _apps_in(module: ModuleType) -> str:
    names = sorted(name for name, value in vars(module).items() if isinstance(value, App))
    if not names:
        return f"There is no App in {module.__name__}: it needs a line such as app = wf.App()"
    return f"There is {', '.join(f'{module.__name__}:{name}' for name in names)}"


def _suggestion(target: str) -> str:
    path, _, attribute = target.partition(":")
    module = path.removesuffix(".py").strip("./").replace("/", ".") or "orders"
    return f"{module}:{attribute or 'app'}"
