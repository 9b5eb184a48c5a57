"""Everything that a stranger or a mistake can grow, with its bound, its unit and its reason.

Limits are checked on encoded bytes, inside `decide` or where a payload is made, so that they are the same
embedded and distributed. Change one here and the documentation's table (docs/limits.md) follows by a test.
"""

from typing import Final

PAYLOAD_BYTES_MAX: Final = 1024 * 1024
"""One input, output, event or custom status, as UTF-8 JSON. Above it, pass a reference: the log is no blob store."""

PAYLOAD_DEPTH_MAX: Final = 128
"""Lists and objects within each other in one payload: what every JSON parser on its way can take, the same everywhere."""

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

NOTE_BYTES_MAX: Final = 512
"""Who asked, and which instance a rerun repeats: notes that go into the history with each command."""

TRACE_CHARS_MAX: Final = 512
"""A start's traceparent, and its tracestate (W3C's bound): copied into every step, so a longer one is left out."""

TIME_US_MAX: Final = 253_402_300_799_999_999
"""A time in a command or of a retry, since 1970: the end of the year 9999, the last that RFC 3339 can tell."""

REASON_CHARS_MAX: Final = 1_000
"""The sentence that says why something was refused: what it quotes of a stranger's may be long."""

REPLY_TOKEN_CHARS_MAX: Final = 256
"""A reply address's second half: kept for as long as a client waits. Longer, and nobody is answered there."""

HISTORY_EVENTS_WARN: Final = 10_000
"""Events of one generation after which the log warns: replay time grows with them."""

HISTORY_EVENTS_MAX: Final = 50_000
"""Events of one generation after which no new step is taken: continue_as_new is the way on."""

HISTORY_BYTES_WARN: Final = 16 * 1024 * 1024
"""Payloads of one generation after which the log warns: a takeover and each replay read all of it."""

HISTORY_BYTES_MAX: Final = 64 * 1024 * 1024
"""Payloads of one generation after which no step, event or result is taken: continue_as_new is the way on."""

EVENT_BUFFER_MAX: Final = 1_000
"""Raised events of one instance that nothing has waited for yet. More are rejected, the earlier ones stay."""

EVENT_BUFFER_BYTES_MAX: Final = 16 * 1024 * 1024
"""The same events' data: continue_as_new carries them all into the next generation."""

COMMAND_IDS_REMEMBERED: Final = 1_000
"""External commands of one instance whose repeat is recognised (the latest ones, carried over generations)."""

ACTIONS_PER_TURN_MAX: Final = 10_000
"""Steps that one resume of an orchestrator may ask for: bounds one commit."""

OPEN_STEPS_MAX: Final = 10_000
"""Activities, timers, children and waits of one instance that have not ended: bounds its memory and its last commit."""

CHILDREN_MAX: Final = 10_000
"""Children that one generation starts: they stand in the instance's row, for a recursive terminate or purge."""

FAILURE_TEXT_CHARS_MAX: Final = 16_384
"""An error message, and a stack trace, of a failure; the middle of a longer one is cut."""

TURN_SECONDS_MAX: Final = 2.0
"""One resume of user code, not counting time in which the process stands still. Longer, and the instance is parked as STALLED."""

ABANDONED_THREADS_MAX: Final = 4
"""Decider threads that user code may hold for ever before the process drains and exits."""

UNDECIDED_OFFSETS_MAX: Final = 1_024
"""Commands that wait outside their batch for the store or a schema; above it the owner stops reading (a marker lists them)."""

SCHEMA_BYTES_MAX: Final = 256 * 1024
"""A registry's answer about one schema: ours take a hundredth of it. A larger one is not read."""

SCHEMA_FIELDS_MAX: Final = 256
"""Fields of a writer's schema, and branches of a union in it: each is read with every record, even where it is not used."""

SCHEMAS_KNOWN_MAX: Final = 10_000
"""Answers of a registry that an orchestrator remembers, schemas and refusals each; above it the oldest are asked for again."""

SCHEMAS_ASKED_MAX: Final = 8
"""Questions to a registry at once: a burst of new ids is not to be a burst for others."""

REGISTRY_REFUSAL_SECONDS: Final = 30.0
"""How long "unknown" and "away" hold for a schema id before the registry is asked again: until then dead letters at once."""

GENERATION_STEPS_PER_BATCH: Final = 1
"""continue_as_new per instance and batch: an instance that only continues cannot starve its partition."""

WAITERS_PER_INSTANCE_MAX: Final = 1_000
"""Clients that wait for one instance; one more is told to come back."""

WAITERS_PER_PARTITION_MAX: Final = 50_000
"""Clients that wait for instances of one partition, some 50 MB of them; one more is told to come back."""

DESCRIBED_MAX: Final = 100
"""Open steps, and names of buffered events, that a description lists: beside three payloads it has to fit a record."""

LIST_PAGE_BYTES_MAX: Final = 16 * 1024 * 1024
"""Payloads of one page of a list; it ends early after them, with a token that goes on."""

FILTER_NAMES_MAX: Final = 100
"""Workflow names, and statuses, that one filter asks for: each is a comparison with every row."""

TOMBSTONE_SECONDS: Final = 7 * 24 * 3600
"""How long a purged id remembers its last run and start command."""

AGE_DAYS_MAX: Final = 36_500
"""The longest that anything may be asked to be kept for: a century, so that no time falls before its beginning."""

RETENTION_PAGE_MAX: Final = 50
"""Ended instances that a sweep asks the store for at a time: their rows hold payloads, and are in memory together."""

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

CLOCKS_APART_SECONDS_MAX: Final = 300
"""How far two processes' clocks are believed to differ: a lease said to end later counts from now, whoever says so."""

GATEWAY_HEADER_BYTES_MAX: Final = 64 * 1024
"""One request's line and headers: a filter with all its names fits. Longer ones are refused unread."""

GATEWAY_REQUESTS_MAX: Final = 1_000
"""Requests that a gateway answers at once, long polls among them; how many bytes of bodies these hold is a setting."""

GATEWAY_BODY_WAIT_SECONDS: Final = 1
"""That a request whose body finds no room waits for others to be answered; then it is told to come back."""

GATEWAY_READ_BYTES_MIN: Final = 64 * 1024
"""Of its answer, that a caller reads in the time that a body has; one that reads less is cut off."""

GATEWAY_CONNECTIONS_MAX: Final = 2_000
"""Connections to a gateway whose latest request had a right to be asked, idle ones too: as many again as it answers at once. One more gets 503."""

GATEWAY_STRANGERS_MAX: Final = 500
"""Connections to a gateway that have shown no token yet, 64 KiB of a head each at most. One more ends another one."""

GATEWAY_RATED_CLIENTS_MAX: Final = 10_000
"""Clients of a gateway whose rate is remembered, some 2 MB of them; the one that has not asked for longest is forgotten."""

GATEWAY_TOKENS_MAX: Final = 1_000
"""Named tokens in a gateway's file: more callers than that want an identity provider before the gateway."""

GATEWAY_TOKEN_CHARS_MIN: Final = 16
"""Of a token, a named one or that of a gateway that others reach: 64 bits as hexadecimal digits are not guessed over a network."""

LETTERS_SCANNED_MAX: Final = 5_000
"""Dead letters that one page of a list looks at: a filter that fits few ends a page early, with a token that goes on."""

LETTERS_SETTLED_MAX: Final = 100
"""Dead letters that one request replays or drops, each in a transaction of its own: some seconds on a slow cluster."""

SUBSCRIPTIONS_MAX: Final = 100
"""Subscriptions of one namespace: every subscriber is a member of a group for each, with connections of its own."""

SUBSCRIPTION_BYTES_MAX: Final = 64 * 1024
"""One subscription with its expressions and schema, as JSON: all of them are read at each start, and at each change."""

EXPRESSION_BYTES_MAX: Final = 4 * 1024
"""One expression of a subscription: it is evaluated for every message."""

AVRO_SCHEMA_BYTES_MAX: Final = 256 * 1024
"""A schema that a registry has for messages of a subscription, as JSON: it is kept in memory."""

DECIMAL_DIGITS_MAX: Final = 100
"""Precision and scale of an Avro decimal: more than databases count with, and two bytes become a short text at most."""

SUBSCRIPTION_MESSAGES_MAX: Final = 500
"""Messages that become one transaction: while it is open, readers of the commands wait for it."""

SUBSCRIPTION_COMMIT_BYTES_MAX: Final = 8 * 1024 * 1024
"""Commands and dead letters of one transaction, after which it is committed with the messages up to there."""
