"""`python -m benchmarks memory`: the peak RSS of ours for very many files, for a very large one, and for syncs."""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.clients.job import Place, TransferItem
from benchmarks.contestants import CONTESTANTS, OURS
from benchmarks.data import Dataset, make, make_empty, make_sparse
from benchmarks.launch import launch
from benchmarks.race import RaceError
from benchmarks.report import machine
from benchmarks.stores import S3Store
from dxflow_async.config.loader import parse_size
from tests.servers import SeaweedFS

__all__ = ["LIMIT", "add_arguments", "run"]

KiB, MiB, GiB = 1 << 10, 1 << 20, 1 << 30
LIMIT = 300 * MiB


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    parser.add_argument("--files", type=int, default=100_000, help="files of 1 KiB (%(default)s); 0 leaves them out")
    parser.add_argument("--large", action="store_true", help="also one large file; takes twice its size on disk")
    parser.add_argument("--size", type=parse_size, default="20GiB", help="of the large file (%(default)s)")
    parser.add_argument("--sync", type=int, default=0, help="files on each side of a sync of local directories")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there")


def run(options: argparse.Namespace) -> None:
    """Upload, sync, download, check, print the peaks; the server keeps its data on disk."""
    # A file takes a block on disk, twice, and its needle on the server; an empty one its inode, on either side.
    needed = options.files * 16 * KiB + options.sync * KiB + (options.size * 2 if options.large else 0) + 2 * GiB
    if shutil.disk_usage(tempfile.gettempdir()).free < needed:
        raise SystemExit(f"{needed / GiB:.1f} GiB are needed in {tempfile.gettempdir()}")
    figures = []
    with (
        tempfile.TemporaryDirectory(prefix="benchmarks-") as name,
        SeaweedFS.start(Path(name, "server")) as server,
    ):
        source, store = Path(name, "source"), S3Store(server)
        if options.files:
            many = make("many", f"{options.files:,} x 1 KiB", [KiB] * options.files, source)
            figures += _measure(store, many, Path(name), sync=True)
        if options.large:
            figures += _measure(store, make_sparse("large", options.size, source), Path(name), sync=False)
        if options.sync:
            figures.append(_sync(options.sync, Path(name)))
    if options.json is not None:
        options.json.write_text(json.dumps({"machine": machine(), "limit": LIMIT, "runs": figures}, indent=1) + "\n")
    over = [each["row"] for each in figures if each["rss"] > LIMIT]
    sys.stdout.write(f"over {LIMIT // MiB} MiB: {', '.join(over) or 'none'}\n")


def _measure(store: S3Store, dataset: Dataset, directory: Path, *, sync: bool) -> list[dict[str, Any]]:
    """Both ways, with what was uploaded being compared and downloaded."""
    target = directory / "downloaded"
    target.mkdir()
    store.create(dataset.name)
    place = store.place(dataset.name)
    try:
        upload = TransferItem(operation="upload", directory=str(dataset.directory), place=place)
        figures = [_one(f"upload of {dataset.title}", upload, directory)]
        dataset.check_sizes(store.listing(dataset.name))
        if sync:
            figures.append(_unchanged(f"{dataset.title} with S3", str(dataset.directory), place, directory))
        download = TransferItem(operation="download", directory=str(target), place=place)
        figures.append(_one(f"download of {dataset.title}", download, directory))
        dataset.check(target)
    except ValueError as error:
        raise RaceError(f"{dataset.title}: {error}") from error
    finally:
        store.delete(dataset.name)
        shutil.rmtree(target)
        shutil.rmtree(dataset.directory)
    return figures


def _sync(count: int, directory: Path) -> dict[str, Any]:
    """Two local directories of so many empty files that are the same."""
    sides = [directory / "one", directory / "other"]
    for side in sides:
        make_empty(count, side)
    try:
        place = Place(provider="LOCAL", prefix=f"{sides[1]}/")
        return _unchanged(f"{count:,} files a side, local", str(sides[0]), place, directory)
    except ValueError as error:
        raise RaceError(f"sync of {count:,} files: {error}") from error
    finally:
        for side in sides:
            shutil.rmtree(side)


def _unchanged(title: str, directory: str, place: Place, scratch: Path) -> dict[str, Any]:
    figures = _one(
        f"sync of {title}, nothing to do", TransferItem(operation="sync", directory=directory, place=place), scratch
    )
    if figures["items"]:
        raise ValueError(f"{figures['items']} items were copied, though nothing differs")
    return figures


def _one(row: str, job: TransferItem, scratch: Path) -> dict[str, Any]:
    outcome = launch(CONTESTANTS[OURS], job, scratch, timeout=4 * 3600)
    rss, own = outcome.process["rss"], outcome.own
    sys.stdout.write(f"{row}: peak RSS {rss / MiB:.0f} MiB, {own['wall']:.1f} s, {own['cpu']:.1f} s CPU\n")
    sys.stdout.flush()
    return {"row": row, "rss": rss, **own}
