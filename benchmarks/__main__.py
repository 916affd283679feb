"""The command line of the benchmarks."""

from __future__ import annotations

import argparse
import signal
import sys

from benchmarks import (
    copy,
    doors,
    journal,
    listing,
    memory,
    net,
    report,
    scale,
    shapes,
    start,
    sync,
    transfer,
    units,
    world,
)
from benchmarks.race import RaceError


def main() -> None:
    """Run one benchmark."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    commands = parser.add_subparsers(required=True)
    for module, title in (
        (transfer, "uploads and downloads at one provider, ours against the peers"),
        (copy, "copies from provider to provider, ours against rclone"),
        (sync, "syncs of many files, ours against the peers"),
        (listing, "a listing of many objects, ours against the peers"),
        (shapes, "a long listing at a server that answers late, against one page after the other"),
        (start, "the first request of a session, and an idle one"),
        (units, "files to a compute unit and back, ours against the peers"),
        (world, "long and capped networks and a cheap server, ours against the peers at their best"),
        (net, "the lanes of the data plane, each in the whole pipeline"),
        (report, "the tables of a race that was written to a file"),
        (memory, "the peak memory of ours"),
        (journal, "the cost of the record of a job"),
        (scale, "several processes against one"),
        (doors, "the adapters for fsspec and zarr, against s3fs and obstore"),
    ):
        command = commands.add_parser(module.__name__.rpartition(".")[2], help=title, description=module.__doc__)
        module.add_arguments(command)
        command.set_defaults(run=module.run)
    options = parser.parse_args()
    # The server and the scratch directory are to go also when the run is ended from outside.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    try:
        options.run(options)
    except RaceError as error:
        parser.exit(1, f"{error}\n")


if __name__ == "__main__":
    main()
