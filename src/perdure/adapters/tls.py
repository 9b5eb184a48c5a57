"""What a failed TLS handshake means for an operator. The texts are OpenSSL's: Cassandra's driver hands on nothing else."""

from __future__ import annotations

__all__ = ["tls_trouble"]

_EXPIRED = ("certificate has expired", "certificate is not yet valid")
_OTHER_HOST = ("hostname mismatch", "ip address mismatch", "not valid for")
_UNKNOWN = ("unable to get local issuer", "self-signed certificate", "self signed certificate", "unable to verify")
_NO_TLS = ("wrong_version_number", "wrong version number", "record layer failure", "record_layer_failure")
_REFUSED = (
    "certificate_required",
    "certificate required",
    "alert bad certificate",
    "alert unknown ca",
    "bad_certificate",
)


def tls_trouble(text: str, side: str) -> str:
    """What to do, as the rest of a sentence about the server; "" if the text tells of nothing known.

    `side` is KAFKA or CASSANDRA, as in the names of the settings.
    """
    told = text.lower()
    if any(each in told for each in _EXPIRED):
        return "shows a certificate that has expired, or is not valid yet: renew it there, or set this machine's clock"
    if any(each in told for each in _OTHER_HOST):
        return "shows a certificate for another host: use the name that it is for, or have it made for this one"
    if any(each in told for each in _UNKNOWN):
        return f"shows a certificate of an authority that is not trusted here: set PERDURE_{side}_CA_FILE to that one's"
    if any(each in told for each in _NO_TLS):
        return f"does not speak TLS on this port: use the port that does, or set PERDURE_{side}_TLS=false"
    if any(each in told for each in _REFUSED):
        return f"does not take this client's certificate: check PERDURE_{side}_CERTIFICATE_FILE and _KEY_FILE"
    return ""
