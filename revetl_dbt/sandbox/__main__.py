"""`python -m revetl_dbt.sandbox --state-dir DIR`: a sandbox in a process of its own, until it is interrupted or
terminated."""

from __future__ import annotations

import argparse
import signal
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

from revetl_dbt.errors import SandboxError
from revetl_dbt.sandbox.host import VENDORS, Sandbox


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until SIGINT or SIGTERM. Returns 0, or 2 when it cannot start."""
    parser = argparse.ArgumentParser(prog="python -m revetl_dbt.sandbox", description=__doc__)
    parser.add_argument(
        "--state-dir", type=Path, required=True, help="what the sandbox remembers, and its address file"
    )
    parser.add_argument("--host", default="127.0.0.1", help="a loopback address (default: %(default)s)")
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one (default)")
    parser.add_argument("--vendor", action="append", choices=sorted(VENDORS), help="may be repeated (default: all)")
    parser.add_argument(
        "--setup",
        action="append",
        default=[],
        type=_pair,
        metavar="VENDOR=FILE",
        help="a setup file to load for a vendor",
    )
    parser.add_argument(
        "--enforce-limits", action="store_true", help="answer 429 when a vendor's rate limit is used up"
    )
    parser.add_argument("--keep-bodies", action="store_true", help="keep request and answer bodies in the log")
    given = parser.parse_args(arguments)
    vendors = tuple(given.vendor or VENDORS)
    options = {"hubspot": {"enforce_limits": True}} if given.enforce_limits and "hubspot" in vendors else {}
    sandbox = Sandbox(
        given.state_dir,
        vendors,
        given.port,
        given.host,
        setup=dict(given.setup),
        options=options,
        keep_bodies=given.keep_bodies,
    )
    stopped = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopped.set())
    try:
        with sandbox:
            sys.stdout.write(
                f"Sandbox at {sandbox.base_url}\n" + "".join(f"  {name}: {sandbox.url(name)}\n" for name in vendors)
            )
            sys.stdout.flush()
            stopped.wait()
    except SandboxError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    return 0


def _pair(text: str) -> tuple[str, Path]:
    vendor, sep, path = text.partition("=")
    if not sep:
        raise argparse.ArgumentTypeError(f"`{text}` must be VENDOR=FILE")
    return vendor, Path(path)


if __name__ == "__main__":
    sys.exit(main())
