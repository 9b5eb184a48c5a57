"""Perdure: durable workflows in ordinary Python functions. `import perdure as wf`.

Names and meanings are Dapr Workflow's (docs/from-dapr.md tells every difference); what Dapr has not is named as plainly.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from perdure.core.awaitables import Task, when_all, when_any
from perdure.core.errors import (
    FailureDetails,
    HistoryFull,
    NonRetryableError,
    PayloadError,
    PayloadTooLarge,
    PerdureError,
    TaskFailedError,
    TooManyActions,
)
from perdure.workflow.activity import ActivityContext, WorkflowActivityContext
from perdure.workflow.app import App, alternate_name
from perdure.workflow.context import DaprWorkflowContext, WorkflowContext
from perdure.workflow.retry import RetryPolicy
from perdure.workflow.status import WorkflowState, WorkflowStatus

if TYPE_CHECKING:  # these bring the engine or an HTTP client along: imported when first asked for
    from perdure.client import aio
    from perdure.client.dapr import DaprClient, DaprWorkflowClient
    from perdure.client.errors import (
        CommandRejected,
        EngineNotFound,
        InstanceNotFound,
        UnknownWorkflowError,
        WorkflowAlreadyExists,
    )
    from perdure.embedding import EmbeddedEngine, embedded
    from perdure.runtime import WorkflowRuntime

__all__ = [
    "ActivityContext",
    "App",
    "CommandRejected",
    "DaprClient",
    "DaprWorkflowClient",
    "DaprWorkflowContext",
    "EmbeddedEngine",
    "EngineNotFound",
    "FailureDetails",
    "HistoryFull",
    "InstanceNotFound",
    "NonRetryableError",
    "PayloadError",
    "PayloadTooLarge",
    "PerdureError",
    "RetryPolicy",
    "Task",
    "TaskFailedError",
    "TooManyActions",
    "UnknownWorkflowError",
    "WorkflowActivityContext",
    "WorkflowAlreadyExists",
    "WorkflowContext",
    "WorkflowRuntime",
    "WorkflowState",
    "WorkflowStatus",
    "aio",
    "alternate_name",
    "embedded",
    "when_all",
    "when_any",
]

_LATER = {
    "CommandRejected": "perdure.client.errors",
    "DaprClient": "perdure.client.dapr",
    "DaprWorkflowClient": "perdure.client.dapr",
    "EmbeddedEngine": "perdure.embedding",
    "EngineNotFound": "perdure.client.errors",
    "InstanceNotFound": "perdure.client.errors",
    "UnknownWorkflowError": "perdure.client.errors",
    "WorkflowAlreadyExists": "perdure.client.errors",
    "WorkflowRuntime": "perdure.runtime",
    "embedded": "perdure.embedding",
}


def __getattr__(name: str) -> Any:
    import importlib  # noqa: PLC0415 - only for the names below

    if name == "aio":
        return importlib.import_module("perdure.client.aio")
    if name in _LATER:
        found = getattr(importlib.import_module(_LATER[name]), name)
        globals()[name] = found
        return found
    raise AttributeError(f"module 'perdure' has no attribute {name!r}")
