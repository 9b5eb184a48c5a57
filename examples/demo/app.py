"""One App of all the examples, for one engine: `perdure dev --app examples.demo.app:app`.

Names are "<example>.<function>": two examples may have a workflow or an activity of the same name.
"""

import perdure as wf
from examples import (
    approval,
    batch_fanout,
    checkout_async,
    checkout_saga,
    eternal_aggregator,
    master_children,
    order_chain,
    order_monitor,
)

EXAMPLES = (
    order_chain,
    batch_fanout,
    order_monitor,
    approval,
    checkout_saga,
    master_children,
    eternal_aggregator,
    checkout_async,
)

app = wf.App()

for example in EXAMPLES:
    prefix = example.__name__.rpartition(".")[2]
    for name, workflow in example.app.workflows.items():
        app.add_workflow(workflow.fn, name=f"{prefix}.{name}")
    for name, activity in example.app.activities.items():
        app.add_activity(activity.fn, name=f"{prefix}.{name}")
