"""`python -m benchmarks memory`: the peak RSS of ours for very many files, and for a very large one."""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.contestants import CONTESTANTS, OURS
from benchmarks.data import Dataset, make, make_sparse
from benchmarks.race import RaceError, launch, listing, new_job
from benchmarks.report import machine
from dxflow_async.sources import parse_size
from tests.servers import SeaweedFS

__all__ = ["LIMIT", "add_arguments", "run"]

KiB, MiB, GiB = 1 << 10, 1 << 20, 1 << 30
LIMIT = 300 * MiB


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    parser.add_argument("--files", type=int, default=100_000, help="files of 1 KiB (%(default)s); 0 leaves them out")
    parser.add_argument("--large", action="store_true", help="also one large file; takes twice its size on disk")
    parser.add_argument("--size", type=parse_size, default="20GiB", help="of the large file (%(default)s)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there")


def run(options: argparse.Namespace) -> None:
    """Upload, download, check, print the peaks; the server keeps its data on disk."""
    # A file takes a block on disk, twice, and its needle on the server.
    needed = options.files * 16 * KiB + (options.size * 2 if options.large else 0) + 2 * GiB
    if shutil.disk_usage(tempfile.gettempdir()).free < needed:
        raise SystemExit(f"{needed / GiB:.1f} GiB are needed in {tempfile.gettempdir()}")
    figures = []
    with (
        tempfile.TemporaryDirectory(prefix="benchmarks-") as name,
        SeaweedFS.start(Path(name, "server")) as server,
    ):
        source = Path(name, "source")
        if options.files:
            many = make("many", f"{options.files:,} x 1 KiB", [KiB] * options.files, source)
            figures += _measure(server, many, Path(name))
        if options.large:
            figures += _measure(server, make_sparse("large", options.size, source), Path(name))
    if options.json is not None:
        options.json.write_text(json.dumps({"machine": machine(), "limit": LIMIT, "runs": figures}, indent=1) + "\n")
    over = [each["row"] for each in figures if each["rss"] > LIMIT]
    sys.stdout.write(f"over {LIMIT // MiB} MiB: {', '.join(over) or 'none'}\n")


def _measure(server: SeaweedFS, dataset: Dataset, directory: Path) -> list[dict[str, Any]]:
    """Both ways, with what was uploaded being downloaded."""
    target = directory / "downloaded"
    target.mkdir()
    bucket = server.create_bucket(dataset.name)
    try:
        figures = [_one(server, dataset, "upload", dataset.directory, directory)]
        dataset.check_sizes(listing(server, bucket))
        figures.append(_one(server, dataset, "download", target, directory))
        dataset.check(target)
    except ValueError as error:
        raise RaceError(f"{dataset.title}: {error}") from error
    finally:
        server.delete_bucket(bucket)
        shutil.rmtree(target)
        shutil.rmtree(dataset.directory)
    return figures


def _one(server: SeaweedFS, dataset: Dataset, operation: str, directory: Path, scratch: Path) -> dict[str, Any]:
    job = new_job(server, operation, directory, dataset.name)
    process, own = launch(CONTESTANTS[OURS], job, scratch, timeout=4 * 3600)
    row = f"{operation} of {dataset.title}"
    sys.stdout.write(f"{row}: peak RSS {process['rss'] / MiB:.0f} MiB, {own['wall']:.1f} s, {own['cpu']:.1f} s CPU\n")
    return {"row": row, "rss": process["rss"], **own}
