"""Why no server lets this client in, and what to do. aiokafka only says that it could not begin, and logs the rest.

Asked once, when connecting has failed: one connection is made by hand, and what it fails with has a name.
"""

from __future__ import annotations

import asyncio
import ssl

from aiokafka.conn import AIOKafkaConnection
from aiokafka.errors import (
    IllegalSaslStateError,
    KafkaError,
    SaslAuthenticationFailed,
    UnsupportedSaslMechanismError,
)
from aiokafka.protocol.metadata import MetadataRequest

from perdure.adapters.kafka.settings import KafkaSecurity, KafkaSettings
from perdure.adapters.tls import tls_trouble

__all__ = ["why_refused"]

ASK_SECONDS_MAX = 5.0
"""For all servers together: the caller has waited already."""


CLOSE_SECONDS_MAX = 1.0
"""Until a connection is closed: one that a loop ends with complains."""


async def why_refused(settings: KafkaSettings) -> str:
    """The rest of a sentence about the servers; "" where nobody answers at all, or nothing is wrong now."""
    options = settings.client_options()
    for name in ("bootstrap_servers", "retry_backoff_ms", "metadata_max_age_ms"):
        del options[name]
    try:
        async with asyncio.timeout(ASK_SECONDS_MAX):
            for server in settings.servers:
                host, _, port = server.rpartition(":")
                connection = AIOKafkaConnection(host.strip("[]"), int(port), **options)
                if why := await _asked(connection, settings.security):
                    return why
    except TimeoutError:
        pass
    return ""


async def _asked(connection: AIOKafkaConnection, security: KafkaSecurity) -> str:
    try:
        await connection.connect()
        await connection.send(MetadataRequest([]))
    except (OSError, KafkaError, TimeoutError) as error:
        return _why(error, security)
    finally:
        closed = connection.close()
        if connection._protocol is not None:  # else there never was a connection
            await asyncio.wait({closed}, timeout=CLOSE_SECONDS_MAX)
    return ""


def _why(error: BaseException, security: KafkaSecurity) -> str:
    if isinstance(error, SaslAuthenticationFailed):
        return (
            f"refuses user {security.username!r} by {security.mechanism}: check PERDURE_KAFKA_USERNAME, "
            "PERDURE_KAFKA_PASSWORD and PERDURE_KAFKA_MECHANISM"
        )
    if isinstance(error, UnsupportedSaslMechanismError):
        return f"does not take {security.mechanism} on this port: set PERDURE_KAFKA_MECHANISM to what it takes"
    if isinstance(error, IllegalSaslStateError):
        return "asks for no user on this port: use the port that does, or set no PERDURE_KAFKA_USERNAME"
    told = next((each for each in (error, error.__cause__) if isinstance(each, ssl.SSLError)), None)
    if told is not None:
        return tls_trouble(str(told), "KAFKA") or f"and this client agree on no TLS ({told.reason or told})"
    if isinstance(error, ConnectionRefusedError | TimeoutError):
        return ""
    if isinstance(error, ConnectionError | KafkaError):
        return _cut_off(security)
    return ""


def _cut_off(security: KafkaSecurity) -> str:
    """A server that does not understand a word just ends the connection."""
    guesses = []
    if security.protocol.endswith("SSL"):
        guesses.append("speaks no TLS (PERDURE_KAFKA_TLS=false)")
        if security.certificate_file is None:
            guesses.append("asks for a client's certificate (PERDURE_KAFKA_CERTIFICATE_FILE)")
    else:
        guesses.append("speaks TLS (PERDURE_KAFKA_TLS=true)")
    if security.username is None:
        guesses.append("asks for a user (PERDURE_KAFKA_USERNAME)")
    return f"ends the connection at once: perhaps this port {', or '.join(guesses)}"
