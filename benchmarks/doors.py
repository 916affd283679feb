"""`python -m benchmarks doors`: the adapters, against s3fs and obstore's file system and store, at one S3 server.

Small objects, ranges, Parquet and transfers through fsspec, and an array of 1 GiB through zarr. Contestants take turns
in fresh processes, and each compares its result with the data.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path
from random import Random

from benchmarks.clients.doors import COLUMNS, LARGE, SMALL
from benchmarks.clients.job import Place, TransferItem
from benchmarks.contestants import Contestant
from benchmarks.launch import launch
from benchmarks.race import settle
from benchmarks.stores import PREFIX, S3Store
from tests.servers import SeaweedFS

__all__ = ["add_arguments", "run"]

OURS, S3FS, OBSTORE = "dxflow-async", "s3fs", "obstore"
CONTESTANTS = (OURS, S3FS, OBSTORE)

ROWS = {
    "small together": "{small:,} x 16 KiB, one `cat`",
    "small one by one": "300 x 16 KiB, one `cat_file` after the other",
    "random reads": "300 reads of 4 KiB at random places of an open file",
    "ranges": "300 ranges of 64 KiB, one `cat_ranges`",
    "parquet columns": "2 of 20 columns of a Parquet file of {table:.0f} MiB",
    "parquet whole": "all of that file",
    "put small": "{small:,} x 16 KiB up",
    "get small": "{small:,} x 16 KiB down",
    "put large": "{large:.0f} MiB up",
    "get large": "{large:.0f} MiB down",
    "zarr write": "zarr: {array:.0f} MiB written in chunks of 4 MiB",
    "zarr read": "zarr: the same read, into an array that is there",
    "zarr read new": "zarr: the same read, into a new array",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    parser.add_argument("--rounds", type=int, default=5, help="runs of each contestant in each row (%(default)s)")
    parser.add_argument(
        "--rows", nargs="+", choices=list(ROWS), default=list(ROWS), metavar="ROW", help=", ".join(ROWS)
    )
    parser.add_argument("--peers", nargs="*", choices=CONTESTANTS[1:], default=list(CONTESTANTS[1:]), metavar="PEER")
    parser.add_argument("--scale", type=float, default=1.0, help="how much of the data (%(default)s)")
    parser.add_argument("--patient", action="store_true", help="wait until the machine is quiet before each run")


def run(options: argparse.Namespace) -> None:
    """Race and print the table."""
    with tempfile.TemporaryDirectory(prefix="benchmarks-", dir=_memory()) as name:
        directory = Path(name)
        sizes = _make(directory / "data", options.scale)
        with SeaweedFS.start(directory / "server") as server:
            store = S3Store(server)
            store.create("doors")
            for file in sorted(each for each in (directory / "data").rglob("*") if each.is_file()):
                key = PREFIX + file.relative_to(directory / "data").as_posix()
                server.client.put_object(Bucket="doors", Key=key, Body=file.read_bytes())
            racers = [each for each in CONTESTANTS if each == OURS or each in options.peers]
            figures = _race(options, racers, store.place("doors"), directory)
    sys.stdout.write(_table(options.rows, racers, figures, sizes))


def _race(
    options: argparse.Namespace, racers: Sequence[str], place: Place, directory: Path
) -> dict[tuple[str, str], list[tuple[float, float]]]:
    """Returns wall and CPU seconds of each run, by row and contestant."""
    job = TransferItem(operation="upload", place=place, directory=str(directory / "data"))
    figures: dict[tuple[str, str], list[tuple[float, float]]] = {}
    if "zarr write" not in options.rows and any(row.startswith("zarr") for row in options.rows):
        launch(Contestant(OURS, lambda: "", _command(OURS, "zarr write", options.scale)), job, directory)
    for number in range(options.rounds):
        for row in options.rows:
            turn = number % len(racers)
            for racer in (*racers[turn:], *racers[:turn]):
                if options.patient:
                    settle()
                contestant = Contestant(racer, lambda: "", _command(racer, row, options.scale))
                outcome = launch(contestant, job, directory)
                figures.setdefault((row, racer), []).append((outcome.own["wall"], outcome.own["cpu"]))
                sys.stderr.write(f"{row:18} {racer:14} {outcome.own['wall']:7.2f} s {outcome.own['cpu']:7.2f} s CPU\n")
    return figures


def _command(racer: str, row: str, scale: float) -> Callable[[TransferItem], list[str]]:
    def command(job: TransferItem) -> list[str]:
        return [sys.executable, "-m", "benchmarks.clients.doors", *job.arguments(), racer, row, str(scale)]

    return command


def _table(
    rows: Sequence[str],
    racers: Sequence[str],
    figures: dict[tuple[str, str], list[tuple[float, float]]],
    sizes: dict[str, float],
) -> str:
    versions = ", ".join(f"{each} {version(each)}" for each in racers)
    lines = [f"{versions}; medians of wall (in parentheses: the lower quartile) / CPU seconds\n"]
    ratios = [f"wall / {each}" for each in racers[1:]]
    lines.append(f"| doors | {' | '.join((*racers, *ratios))} |")
    lines.append("|---" * (1 + len(racers) + len(ratios)) + "|")
    for row in rows:
        walls = [_middle([wall for wall, _ in figures[row, each]]) for each in racers]
        cells = [
            f"{wall:.2f} ({quartile:.2f}) / {statistics.median(cpu for _, cpu in figures[row, each]):.2f}"
            for each, (wall, quartile) in zip(racers, walls, strict=True)
        ]
        compared = [f"{walls[0][0] / wall:.2f} ({walls[0][1] / quartile:.2f})" for wall, quartile in walls[1:]]
        lines.append(f"| {ROWS[row].format(**sizes)} | {' | '.join((*cells, *compared))} |")
    return "\n".join(lines) + "\n"


def _middle(values: Sequence[float]) -> tuple[float, float]:
    """Returns the median, and the lower quartile."""
    quartile = statistics.quantiles(values, n=4, method="inclusive")[0] if len(values) > 1 else values[0]
    return statistics.median(values), quartile


def _make(directory: Path, scale: float) -> dict[str, float]:
    """Makes the data, and returns its sizes in MiB, and the number of small files."""
    import numpy as np
    import pyarrow as pa
    from pyarrow import parquet

    chance = Random(18)
    (directory / "small").mkdir(parents=True)
    small = max(round(1000 * scale), 20)
    for number in range(small):
        (directory / "small" / f"{number:05}").write_bytes(chance.randbytes(SMALL))
    large = max(round(LARGE * scale), 1 << 20)
    with open(directory / "large", "wb") as file:
        file.writelines(chance.randbytes(min(1 << 20, large - start)) for start in range(0, large, 1 << 20))
    rows, made = max(round(800_000 * scale), 1000), np.random.default_rng(18)
    columns = {f"c{number}": made.random(rows) for number in range(COLUMNS)}
    parquet.write_table(pa.table(columns), directory / "table.parquet", row_group_size=max(rows // 8, 1))
    table = (directory / "table.parquet").stat().st_size / (1 << 20)
    return {"small": small, "large": large / (1 << 20), "table": table, "array": 1024 * scale}


def _memory() -> str | None:
    return "/dev/shm" if Path("/dev/shm").is_dir() else None
