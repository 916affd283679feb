"""Copies a directory to S3 and back on an MPIPoolExecutor. Run by `mpiexec -n 3 python -m mpi4py.futures`."""

from __future__ import annotations

import sys

from dxflow_async import Session


def main(source: str, place: str, back: str) -> None:
    """Copies there and back."""
    from mpi4py.futures import MPIPoolExecutor

    with MPIPoolExecutor() as executor, Session(progress=False) as session:
        up = session.copy(source, place, executor=executor)
        down = session.copy(place, back, executor=executor)
        assert executor.num_workers == 2
        assert not up.failed
        assert not down.failed


if __name__ == "__main__":
    main(*sys.argv[1:])
