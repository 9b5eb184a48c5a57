"""What an orchestrator yields or awaits: tasks, and the two ways to combine them.

A task completes once, with a result or an error, and never changes again. It may be yielded before or after that, and
more than once; it may stand in several composites. Yielding a complete task gives its outcome at once.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable
from typing import Any, Generic, TypeVar

__all__ = ["PENDING", "Task", "WhenAll", "WhenAny", "when_all", "when_any"]

T = TypeVar("T")


class _Pending:
    __slots__ = ()

    def __repr__(self) -> str:
        return "<pending>"


PENDING = _Pending()


class Task(Generic[T]):
    """A step's outcome, now or later.

    `what` says in words what it waits for. `decode` turns a recorded payload into the result; it runs when the result
    is first asked for, in user code's place, so that what it raises is raised there.
    """

    __slots__ = ("_decode", "_error", "_parents", "_value", "task_id", "what")

    def __init__(self, task_id: int = 0, what: str = "", decode: Callable[[Any], T] | None = None) -> None:
        self.task_id = task_id
        self.what = what
        self._decode = decode
        self._value: Any = PENDING
        self._error: BaseException | None = None
        self._parents: list[_Composite[Any]] = []

    @property
    def is_complete(self) -> bool:
        return self._value is not PENDING or self._error is not None

    @property
    def is_failed(self) -> bool:
        return self._error is not None

    @property
    def result(self) -> T:
        return self.get_result()

    def get_result(self) -> T:
        """The result; raises the task's error if it failed, ValueError if it is not complete."""
        if self._error is not None:
            raise self._error.with_traceback(None)
        if self._value is PENDING:
            raise ValueError("the task is not complete: yield it (or await it) first")
        if self._decode is not None:
            decode, self._decode = self._decode, None
            try:
                self._value = decode(self._value)
            except Exception as error:
                self._error = error
                raise
        return self._value  # type: ignore[no-any-return]

    def get_exception(self) -> BaseException:
        """The error of a failed task; ValueError if it has not failed."""
        if self._error is None:
            raise ValueError("the task has not failed")
        return self._error

    def __await__(self) -> Generator[Task[T], Any, T]:
        return (yield self)  # type: ignore[no-any-return]

    def __repr__(self) -> str:
        state = "failed" if self.is_failed else "complete" if self.is_complete else "pending"
        return f"<{type(self).__name__} {self.what or self.task_id} {state}>"

    def _complete(self, value: Any) -> None:
        if not self.is_complete:
            self._value = value
            self._tell_parents()

    def _fail(self, error: BaseException) -> None:
        if not self.is_complete:
            self._error = error
            self._tell_parents()

    def _tell_parents(self) -> None:
        parents, self._parents = self._parents, []
        for parent in parents:
            parent._child_ended(self)


class _Composite(Task[T]):
    __slots__ = ("tasks",)

    def __init__(self, tasks: Iterable[Task[Any]], what: str) -> None:
        super().__init__(what=what)
        self.tasks = list(tasks)
        for task in self.tasks:
            if not isinstance(task, Task):
                raise TypeError(
                    f"{what} takes tasks (of ctx.call_activity, ctx.create_timer …), not {type(task).__name__}"
                )

    def _watch(self) -> None:
        for task in self.tasks:
            if task.is_complete:
                self._child_ended(task)
            else:
                task._parents.append(self)

    def _child_ended(self, task: Task[Any]) -> None:
        raise NotImplementedError


class WhenAll(_Composite[list[Any]]):
    """Waits for every task; then the results in order, or the first failure (by time). `when_all([])` is `[]`."""

    __slots__ = ("_first_error", "_missing")

    def __init__(self, tasks: Iterable[Task[Any]]) -> None:
        super().__init__(tasks, "when_all")
        self._missing = len(self.tasks)
        self._first_error: BaseException | None = None
        self._watch()
        if not self.tasks:
            self._complete([])

    def _child_ended(self, task: Task[Any]) -> None:
        self._missing -= 1
        if task.is_failed and self._first_error is None:
            self._first_error = task.get_exception()
        if self._missing == 0:
            if self._first_error is not None:
                self._fail(self._first_error)
            else:
                self._decode = lambda _: [each.get_result() for each in self.tasks]
                self._complete(True)


class WhenAny(_Composite[Task[Any]]):
    """Completes with the task that ended first, failed or not; the others go on. `when_any([])` is a ValueError."""

    __slots__ = ()

    def __init__(self, tasks: Iterable[Task[Any]]) -> None:
        super().__init__(tasks, "when_any")
        if not self.tasks:
            raise ValueError("when_any([]) would wait for ever: give it at least one task")
        self._watch()

    def _child_ended(self, task: Task[Any]) -> None:
        self._complete(task)


def when_all(tasks: Iterable[Task[Any]]) -> WhenAll:
    """A task that completes when all have: with their results in order, or raising the first failure."""
    return WhenAll(tasks)


def when_any(tasks: Iterable[Task[Any]]) -> WhenAny:
    """A task whose result is the one (the object itself) that ends first, failed or not."""
    return WhenAny(tasks)
