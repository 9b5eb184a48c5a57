"""`python -m examples.demo`: exit code 0 if everything is as it should be, 1 with a message if not."""

import asyncio
import os
import shutil
import signal
import sys
import time
from pathlib import Path

import perdure as wf
from examples.demo.engine import DemoFailed, EngineProcess
from examples.demo.screen import Screen, console
from examples.demo.story import tell

FOLDER = Path(".demo")
LONGEST_S = 60


def main() -> int:
    begun = time.monotonic()
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir()
    os.environ["LEDGER"] = str(FOLDER / "ledger.db")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that the engine does not outlive us
    engine = EngineProcess(FOLDER)
    try:
        with Screen() as screen:
            asyncio.run(asyncio.wait_for(tell(engine, screen), LONGEST_S))
    except TimeoutError:
        console.print(f"[bold red]The demo failed:[/] no end after {LONGEST_S} s (the engine's log is {engine.log})")
        return 1
    except (DemoFailed, wf.PerdureError) as failure:
        console.print(f"[bold red]The demo failed:[/] {failure} (the engine's log is {engine.log})")
        return 1
    except KeyboardInterrupt:
        return 130
    finally:
        engine.stop()
    console.print(f"{time.monotonic() - begun:.1f} s. The files are in {FOLDER}/, the examples in examples/.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
