"""What processes have used, as /proc tells it: CPU of all their threads, memory; and who serves a port."""

import os
from collections import Counter
from pathlib import Path

TICK_SECONDS = 1 / os.sysconf("SC_CLK_TCK")
LISTENING = "0A"


def cpu_seconds(pid):
    """User and system time, children left out; None once the process has ended."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return (int(fields[11]) + int(fields[12])) * TICK_SECONDS


def resident_bytes(pid):
    """Memory that is its alone or shared, in RAM now."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    return 0


def server_of(port):
    """The process that listens on a TCP port of this machine; None if it cannot be seen (a container's, a far one's)."""
    inodes = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        for line in Path(table).read_text().splitlines()[1:] if Path(table).exists() else ():
            fields = line.split()
            if fields[3] == LISTENING and int(fields[1].rpartition(":")[2], 16) == port:
                inodes.add(f"socket:[{fields[9]}]")
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit() and inodes and _holds(folder / "fd", inodes):
            return int(folder.name)
    return None


def _holds(descriptors, inodes):
    try:
        return any(_target(each) in inodes for each in descriptors.iterdir())
    except OSError:
        return False  # another user's, or it has ended


def _target(descriptor):
    try:
        return os.readlink(descriptor)
    except OSError:
        return ""  # closed meanwhile: a busy process opens and closes many


class Meter:
    """CPU seconds of named processes since it was made; several of one name are one figure.

    `processes` is a list of (name, pid). A process that ends in between counts as nothing.
    """

    def __init__(self, processes):
        self._begin = [(name, pid, cpu_seconds(pid)) for name, pid in processes]

    def spent(self):
        total = Counter()
        for name, pid, begin in self._begin:
            now = cpu_seconds(pid)
            total[name] += 0 if now is None or begin is None else now - begin
        return dict(total)
