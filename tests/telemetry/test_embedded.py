"""With threads and a file: the caller's span is seen from another thread, and activities on theirs have one."""

from __future__ import annotations

import pytest
from opentelemetry import trace

import perdure
from tests.telemetry.collected import steps, tree
from tests.telemetry.programs import make_app

pytestmark = pytest.mark.filterwarnings("ignore:You should use InstrumentationScope")


def test_a_program_with_a_provider_of_its_own_sees_everything_below_its_span(collected, tmp_path):
    app = make_app()

    @app.activity
    def on_a_thread(ctx, _):
        with trace.get_tracer("shop").start_as_current_span("query"):
            return 1

    @app.workflow
    def threaded(ctx, _):
        yield perdure.when_all([ctx.call_activity(on_a_thread, input=None) for _ in range(3)])

    with perdure.embedded(app, path=tmp_path / "p.db") as client:
        with trace.get_tracer("shop").start_as_current_span("checkout"):
            instance_id = client.schedule_new_workflow(threaded)
        client.wait_for_workflow_completion(instance_id, timeout_in_seconds=60)
    attempts = [["activity||on_a_thread", [["query"]]]] * 3
    below = ["create_orchestration||threaded", [["orchestration||threaded", attempts]]]
    assert tree(steps(collected.spans)) == [["checkout", [below]]]
