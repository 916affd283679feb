"""Failed attempts to sign in: the queries of a failure, and the rows that it leaves."""

from pathlib import Path

import pytest

from dxflow_async.server.hub.attempts import Failures, TooManyTriesError
from dxflow_async.server.hub.database import open_database


@pytest.mark.parametrize("account", ["pointer", "unknown@example.org"])
def test_failures_use_indexes(tmp_path: Path, account: str) -> None:
    """No query for a failure reads a whole table, as the plans of all executed queries show."""
    database = open_database(tmp_path / "home")
    queries: list[str] = []
    database.set_trace_callback(queries.append)
    failures = Failures(lambda: 1_700_000_000.0)
    failures.check(database, account, "peer")
    failures.note(database, account, "peer")
    database.set_trace_callback(None)
    plans = {
        query: [row[3] for row in database.execute(f"EXPLAIN QUERY PLAN {query}")]
        for query in queries
        if query.startswith(("SELECT", "DELETE"))
    }
    database.close()
    assert len(plans) >= 5
    assert not [(query, step) for query, plan in plans.items() for step in plan if step.startswith("SCAN")]


def test_failures_of_one_peer_are_bounded(tmp_path: Path) -> None:
    """Only as many failures of one peer are kept as count, and the newest ones still count after a clock went back."""
    database = open_database(tmp_path / "home")
    now = 1_700_000_000.0
    failures = Failures(lambda: now)
    for _ in range(30):
        failures.note(database, "pointer", "peer")
    now -= 600
    failures.check(database, "pointer", "peer")
    for _ in range(5):
        failures.note(database, "pointer", "peer")
    with pytest.raises(TooManyTriesError):
        failures.check(database, "pointer", "peer")
    (kept,) = database.execute("SELECT count(*) FROM failures").fetchone()
    database.close()
    assert kept == 20
