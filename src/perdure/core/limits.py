"""Everything that a stranger or a mistake can grow, with its bound, its unit and its reason.

Limits are checked on encoded bytes, inside `decide` or where a payload is made, so that they are the same
embedded and distributed. Change one here and the documentation's table (docs/limits.md) follows by a test.
"""

from typing import Final

PAYLOAD_BYTES_MAX: Final = 1024 * 1024
"""One input, output, event or custom status, as UTF-8 JSON. Above it, pass a reference: the log is no blob store."""

RECORD_BYTES_MAX: Final = 4 * 1024 * 1024
"""One record of any topic; topics are created with room for it. A failure with a stack trace fits beside a payload."""

INSTANCE_ID_CHARS_MAX: Final = 64
"""An id that a user chooses (Dapr's rule)."""

DERIVED_ID_BYTES_MAX: Final = 512
"""An id that the engine derives for a child: parent's id, generation, task id; bounds the depth of nesting."""

COMMAND_ID_BYTES_MAX: Final = 256
"""A command_id: a thousand of them are carried from generation to generation, in one record."""

NAME_BYTES_MAX: Final = 256
"""A workflow, activity or event name."""

HISTORY_EVENTS_WARN: Final = 10_000
"""Events of one generation after which the log warns: replay time grows with them."""

HISTORY_EVENTS_MAX: Final = 50_000
"""Events of one generation after which no new step is taken: continue_as_new is the way on."""

EVENT_BUFFER_MAX: Final = 1_000
"""Raised events of one instance that nothing has waited for yet. More are rejected, the earlier ones stay."""

COMMAND_IDS_REMEMBERED: Final = 1_000
"""External commands of one instance whose repeat is recognised (the latest ones, carried over generations)."""

ACTIONS_PER_TURN_MAX: Final = 10_000
"""Steps that one resume of an orchestrator may ask for: bounds one commit."""

FAILURE_TEXT_CHARS_MAX: Final = 16_384
"""An error message, and a stack trace, of a failure; the middle of a longer one is cut."""

TURN_SECONDS_MAX: Final = 2.0
"""One resume of user code. Longer, and the instance is parked as STALLED, so that the partition's others go on."""

ABANDONED_THREADS_MAX: Final = 4
"""Decider threads that user code may hold for ever before the process drains and exits."""

UNDECIDED_OFFSETS_MAX: Final = 1_024
"""Commands that wait outside their batch for the store; above it the owner stops reading (a marker lists them)."""

GENERATION_STEPS_PER_BATCH: Final = 1
"""continue_as_new per instance and batch: an instance that only continues cannot starve its partition."""

WAITERS_PER_INSTANCE_MAX: Final = 1_000
"""Clients that wait for one instance; one more is told to come back."""

TOMBSTONE_SECONDS: Final = 7 * 24 * 3600
"""How long a purged id remembers its last run and start command."""

MINTED_ID_SECONDS: Final = 600
"""An id minted by a client this recently cannot be in the store: its start needs no read."""

REQUEST_RESEND_SECONDS: Final = 10.0
"""A client repeats an unanswered request this often, under the same command id."""

ACTIVITY_DELIVERIES_MAX: Final = 5
"""Times one attempt is handed to a worker; the fifth that takes its worker down fails as WorkerCrashed."""

OVERRUN_THREADS_MAX: Final = 8
"""Activity threads past their time-out that still hold a slot; past it the worker drains and restarts."""

TAKEOVERS_BEFORE_CAUTION: Final = 3
"""Owners in a row that died before their first commit; then one instance at a time, named before it is tried."""

CARRIED_CHILDREN_MAX: Final = 1_000
"""Children of earlier generations that a generation still knows, for a recursive terminate or purge (the latest)."""
