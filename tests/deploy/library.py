"""Helm's own library, called once: `python -m tests.deploy.library LIBRARY CHART VALUES RELEASE NAMESPACE`.

The library is the native part of helm-java (Apache-2.0), Helm 3 behind a C interface; its header, `helm-….h`, lies
beside it in the same jar and is what the two structures here say. A process of its own, because a Go runtime comes with it.
"""

from __future__ import annotations

import ctypes
import sys

NATIVE = "0.0.15"
"""The version whose header this follows: Helm 3.16.4."""

TEXT, NUMBER = ctypes.c_char_p, ctypes.c_int


class Options(ctypes.Structure):
    _fields_ = [
        ("name", TEXT), ("version", TEXT), ("chart", TEXT), ("namespace", TEXT), ("dependencyUpdate", NUMBER),
        ("values", TEXT), ("valuesFiles", TEXT), ("certFile", TEXT), ("keyFile", TEXT), ("caFile", TEXT),
        ("insecureSkipTlsVerify", NUMBER), ("plainHttp", NUMBER), ("keyring", TEXT), ("debug", NUMBER),
        ("repositoryConfig", TEXT),
    ]  # fmt: skip


class Result(ctypes.Structure):
    _fields_ = [("out", TEXT), ("err", TEXT), ("stdOut", TEXT), ("stdErr", TEXT)]


def main(place: str, chart: str, values: str, release: str, namespace: str) -> int:
    library = ctypes.CDLL(place)
    library.Template.argtypes = [ctypes.POINTER(Options)]
    library.Template.restype = Result
    options = Options(
        name=release.encode(), chart=chart.encode(), namespace=namespace.encode(), valuesFiles=values.encode()
    )
    result = library.Template(ctypes.byref(options))
    sys.stdout.write((result.out or b"").decode())
    sys.stderr.write((result.err or b"").decode())
    return 1 if result.err else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
