"""Accounts: sign-ins, their secrets and limits."""

import asyncio
import hashlib
import sqlite3
import statistics
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from dxflow_async.exceptions import AuthenticationError, ConfigurationError
from dxflow_async.server.hub.accounts import Accounts, Credentials, TooManyTriesError
from dxflow_async.server.hub.attempts import Turns
from dxflow_async.server.hub.database import Store
from dxflow_async.server.hub.sign_ins import SignInLimits

ME = Credentials("me@example.org", "correct horse", "diphyx")
WRONG = Credentials("me@example.org", "battery staple", "diphyx")


class Clock:
    """Seconds that pass when the test says so."""

    now = 1_700_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    """A clock that stands still."""
    return Clock()


@pytest.fixture
async def accounts(tmp_path: Path, clock: Clock) -> AsyncIterator[Accounts]:
    """Accounts in an empty database."""
    store = await Store.open(tmp_path / "home")
    yield Accounts(store, clock=clock)
    await store.aclose()


async def fail(accounts: Accounts, times: int, peer: str = "peer") -> None:
    """Sign in with a wrong password."""
    for _ in range(times):
        with pytest.raises(AuthenticationError, match="wrong e-mail or password"):
            await accounts.sign_in(WRONG, peer)


async def test_first_sign_in_creates(accounts: Accounts) -> None:
    """The first sign-in of an e-mail creates the account and says so; later ones reach the same account."""
    first = await accounts.sign_in(ME, "peer")
    again = await accounts.sign_in(Credentials("Me@Example.org", ME.password, "diphyx"), "peer")
    assert (first.created, again.created) == (True, False)
    assert (first.user_pointer, first.namespace_pointer) == (again.user_pointer, again.namespace_pointer)
    assert first.user_secret != again.user_secret
    assert first.namespace_secret != again.namespace_secret


async def test_namespaces_belong_to_the_account(accounts: Accounts) -> None:
    """Two accounts may use one namespace name; each has its own, and so has each name."""
    mine = await accounts.sign_in(ME, "peer")
    other_name = await accounts.sign_in(Credentials(ME.email, ME.password, "other"), "peer")
    theirs = await accounts.sign_in(Credentials("you@example.org", "pw", "diphyx"), "peer")
    assert len({mine.namespace_pointer, other_name.namespace_pointer, theirs.namespace_pointer}) == 3


async def test_secret_proves_the_user(accounts: Accounts) -> None:
    """A user secret is valid for its own user only."""
    mine = await accounts.sign_in(ME, "peer")
    theirs = await accounts.sign_in(Credentials("you@example.org", "pw", "diphyx"), "peer")
    user = await accounts.user(mine.user_pointer, mine.user_secret)
    assert user is not None
    assert (user.pointer, user.email) == (mine.user_pointer, ME.email)
    assert await accounts.user(mine.user_pointer, theirs.user_secret) is None
    assert await accounts.user(mine.user_pointer, mine.namespace_secret) is None
    assert await accounts.user("nobody", mine.user_secret) is None


async def test_revoke(accounts: Accounts) -> None:
    """A revoked secret is refused; the other sign-ins of the account stay."""
    first, second = [await accounts.sign_in(ME, "peer") for _ in range(2)]
    assert await accounts.revoke(first.user_pointer, first.user_secret) is True
    assert await accounts.revoke(first.user_pointer, first.user_secret) is False
    assert await accounts.user(first.user_pointer, first.user_secret) is None
    assert await accounts.user(second.user_pointer, second.user_secret) is not None


async def test_oldest_sign_ins_go(accounts: Accounts, monkeypatch: pytest.MonkeyPatch) -> None:
    """An account keeps its newest sign-ins; the oldest is revoked by one too many, other accounts' stay."""
    monkeypatch.setattr("dxflow_async.server.hub.sign_ins.MAX_SIGN_INS", 3)
    theirs = await accounts.sign_in(Credentials("you@example.org", "pw", "diphyx"), "peer")
    issued = [await accounts.sign_in(ME, "peer") for _ in range(5)]
    valid = [await accounts.user(each.user_pointer, each.user_secret) is not None for each in issued]
    assert valid == [False, False, True, True, True]
    assert await accounts.user(theirs.user_pointer, theirs.user_secret) is not None


async def test_sixth_try_is_refused(accounts: Accounts, clock: Clock) -> None:
    """After five failures within a minute the right password is refused too, until one of them is a minute old."""
    await accounts.sign_in(ME, "peer")
    for _ in range(5):
        await fail(accounts, 1)
        clock.now += 2
    with pytest.raises(TooManyTriesError) as caught:
        await accounts.sign_in(ME, "peer")
    assert caught.value.retry_after == pytest.approx(50)
    clock.now += 49
    with pytest.raises(TooManyTriesError):
        await accounts.sign_in(ME, "peer")
    clock.now += 1
    assert (await accounts.sign_in(ME, "peer")).created is False


async def test_limit_is_for_each_account_and_peer(accounts: Accounts) -> None:
    """Failures of one peer, or on one account, refuse no other peer and no other account."""
    you = Credentials("you@example.org", "pw", "diphyx")
    await accounts.sign_in(ME, "peer")
    await accounts.sign_in(you, "peer")
    await fail(accounts, 5)
    await accounts.sign_in(ME, "another peer")
    await accounts.sign_in(you, "peer")


async def test_success_never_counts(accounts: Accounts) -> None:
    """Sign-ins that work do not count, also not many at once beside four failures."""
    await accounts.sign_in(ME, "peer")
    await fail(accounts, 4)
    issued = await asyncio.gather(*(accounts.sign_in(ME, "peer") for _ in range(10)))
    assert len({each.user_secret for each in issued}) == 10
    await fail(accounts, 1)


async def test_limit_holds_for_tries_at_once(accounts: Accounts) -> None:
    """Of many wrong tries at the same moment five are answered, not as many as run beside each other."""
    await accounts.sign_in(ME, "peer")
    errors = await asyncio.gather(*(accounts.sign_in(WRONG, "peer") for _ in range(16)), return_exceptions=True)
    assert sum(type(error) is AuthenticationError for error in errors) == 5
    assert sum(type(error) is TooManyTriesError for error in errors) == 11


async def test_clock_set_back(accounts: Accounts, clock: Clock) -> None:
    """Failures from a far future, after the clock was set back, lock nobody out."""
    await accounts.sign_in(ME, "peer")
    await fail(accounts, 5)
    clock.now -= 3600
    await accounts.sign_in(ME, "peer")


async def test_account_created_twice_at_once(tmp_path: Path) -> None:
    """Two hubs that create the same account at once make one; the second signs in, or is refused when it differs."""
    stores = [await Store.open(tmp_path) for _ in range(2)]
    one, two = map(Accounts, stores)
    try:
        issued = await asyncio.gather(one.sign_in(ME, "peer"), two.sign_in(ME, "peer"))
        assert sorted(each.created for each in issued) == [False, True]
        assert len({each.user_pointer for each in issued}) == 1
        pair = [Credentials("new@example.org", password, "diphyx") for password in ("a", "b")]
        results = await asyncio.gather(
            one.sign_in(pair[0], "peer"), two.sign_in(pair[1], "peer"), return_exceptions=True
        )
        assert sum(type(result) is AuthenticationError for result in results) == 1
    finally:
        for store in stores:
            await store.aclose()


async def test_nothing_secret_is_stored(accounts: Accounts, tmp_path: Path) -> None:
    """Neither passwords nor secrets are in the database's files; the secrets' digests are."""
    issued = await accounts.sign_in(ME, "peer")
    await fail(accounts, 1)
    files = {path.name: path.read_bytes() for path in (tmp_path / "home").iterdir()}
    assert {"hub.sqlite3", "hub.sqlite3-wal"} <= files.keys()
    content = b"".join(files.values())
    assert hashlib.sha256(issued.user_secret.encode()).digest() in content
    assert b"$argon2id$" in content
    for secret in (issued.user_secret, issued.namespace_secret, ME.password, WRONG.password):
        assert secret.encode() not in content


async def test_secrets_are_long_and_show_nowhere(accounts: Accounts) -> None:
    """Secrets carry 256 bits and are in no repr; neither is the password."""
    issued = await accounts.sign_in(ME, "peer")
    assert len(issued.user_secret) >= 43
    assert len(issued.namespace_secret) >= 43
    assert issued.user_secret not in repr(issued)
    assert issued.namespace_secret not in repr(issued)
    assert ME.password not in repr(ME)


@pytest.mark.usefixtures("real_costs")
async def test_time_tells_nothing(tmp_path: Path) -> None:
    """A wrong password of a known e-mail takes about as long as the right one, and as an unknown e-mail."""
    store = await Store.open(tmp_path)
    accounts = Accounts(store)
    seconds: dict[str, list[float]] = {"wrong": [], "right": [], "unknown": []}
    try:
        await accounts.sign_in(ME, "peer")
        for number in range(9):
            unknown = Credentials(f"{number}@example.org", "pw", "diphyx")
            for kind, given in (("wrong", WRONG), ("right", ME), ("unknown", unknown)):
                started = time.perf_counter()
                try:
                    await accounts.sign_in(given, f"peer {number}")
                except AuthenticationError:
                    assert kind == "wrong"
                seconds[kind].append(time.perf_counter() - started)
    finally:
        await store.aclose()
    medians = [statistics.median(each) for each in seconds.values()]
    assert max(medians) / min(medians) < 3


@pytest.mark.usefixtures("real_costs")
async def test_loop_is_not_blocked(accounts: Accounts) -> None:
    """While a password is hashed the loop goes round."""
    rounds = 0
    task = asyncio.ensure_future(accounts.sign_in(ME, "peer"))
    while not task.done():
        await asyncio.sleep(0)
        rounds += 1
    await task
    assert rounds > 10


async def test_survives_a_restart(tmp_path: Path) -> None:
    """Accounts, secrets and counted failures are still there after closing and opening again."""
    store = await Store.open(tmp_path)
    issued = await Accounts(store).sign_in(ME, "peer")
    await fail(Accounts(store), 5)
    await store.aclose()
    store = await Store.open(tmp_path)
    accounts = Accounts(store)
    try:
        assert await accounts.user(issued.user_pointer, issued.user_secret) is not None
        with pytest.raises(TooManyTriesError):
            await accounts.sign_in(ME, "peer")
    finally:
        await store.aclose()


BAD: dict[str, list[object]] = {
    "email": ["", "me", "@x", "me@", "a b@c", "a@b@c", "a@b\n", "a\0@b", "a@b\u202e", "\ud800@x", None, 1, ["a@b"]],
    "password": ["", "x" * 1025, "é" * 513, "\ud800", None, 12345678],
    "namespace": ["", " a", "a ", "x" * 129, "a\nb", "\ud800", None, {}],
}
TOO_LONG = [("email", "x" * 65 + "@y"), ("email", "a@" + "b" * 253)]


@pytest.mark.parametrize(("name", "value"), [*((name, bad) for name in BAD for bad in BAD[name]), *TOO_LONG])
def test_bad_fields(name: str, value: object) -> None:
    """What is no e-mail, password or namespace is refused, naming the field but never the password."""
    fields = {"email": "me@example.org", "password": "pw", "namespace": "diphyx", name: value}
    with pytest.raises(ConfigurationError, match=f"^{name} ") as caught:
        Credentials.from_dict(fields)
    if name == "password" and value:
        assert str(value) not in str(caught.value)


GOOD = {
    "email": ["a@b", "jörg@exämple.de", "a+b.c@d.e", "a@" + "b" * 252],
    "password": [" ", "x" * 1024, "\0\n", "é" * 512],
    "namespace": ["a", "x" * 128, "my team", "团队"],
}


@pytest.mark.parametrize(("name", "value"), [(name, good) for name in GOOD for good in GOOD[name]])
def test_good_fields(name: str, value: str) -> None:
    """Unusual but valid fields are accepted as they are."""
    fields = {"email": "me@example.org", "password": "pw", "namespace": "diphyx", name: value}
    assert getattr(Credentials.from_dict(fields), name) == value


async def test_accounts_are_made_by_hand_only(tmp_path: Path) -> None:
    """Where signing up is off an unknown e-mail is refused like a wrong password, and counted like one."""
    store = await Store.open(tmp_path)
    accounts = Accounts(store, sign_up=False)
    try:
        await fail(accounts, 5)
        with pytest.raises(TooManyTriesError):
            await accounts.sign_in(ME, "peer")
        assert await accounts.accounts() == []
        await accounts.create(ME)
        assert (await accounts.sign_in(ME, "another peer")).created is False
        with pytest.raises(ConfigurationError, match="has an account already"):
            await accounts.create(Credentials("Me@Example.org", "other", "diphyx"))
    finally:
        await store.aclose()


@pytest.mark.usefixtures("real_costs")
async def test_unknown_e_mails_take_as_long(tmp_path: Path) -> None:
    """Where signing up is off, time does not tell whether an e-mail has an account."""
    store = await Store.open(tmp_path)
    accounts = Accounts(store, sign_up=False)
    seconds: dict[str, list[float]] = {ME.email: [], "nobody@example.org": []}
    try:
        await accounts.create(ME)
        for number in range(9):
            for email, times in seconds.items():
                started = time.perf_counter()
                with pytest.raises(AuthenticationError):
                    await accounts.sign_in(Credentials(email, "wrong", "diphyx"), f"peer {number}")
                times.append(time.perf_counter() - started)
    finally:
        await store.aclose()
    medians = [statistics.median(each) for each in seconds.values()]
    assert max(medians) / min(medians) < 3


async def test_made_up_emails_lock_nobody_out(tmp_path: Path, clock: Clock) -> None:
    """However many e-mails one address makes up, the right password of somebody behind the same one is taken."""
    store = await Store.open(tmp_path)
    accounts = Accounts(store, clock=clock, sign_up=False)
    try:
        await accounts.create(ME)
        for number in range(40):
            with pytest.raises(AuthenticationError, match="wrong e-mail"):
                await accounts.sign_in(Credentials(f"nobody{number}@x", "x", "n"), "10.0.0.1")
        assert (await accounts.sign_in(ME, "10.0.0.1")).created is False
    finally:
        await store.aclose()


async def test_many_peers_cannot_try_one_account(
    accounts: Accounts, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Failures of many peers bound each other, one peer's alone do not, and one that signed in before is let in."""
    monkeypatch.setattr("dxflow_async.server.hub.attempts.MAX_ACCOUNT_FAILURES", 12)
    monkeypatch.setattr("dxflow_async.server.hub.attempts.MAX_OF_ONE_PEER", 6)
    await accounts.sign_in(ME, "home")
    for _ in range(3):
        await fail(accounts, 5, "stranger")
        clock.now += 60
    await fail(accounts, 5, "second")
    await fail(accounts, 1, "third")
    for given in (ME, WRONG):
        with pytest.raises(TooManyTriesError) as caught:
            await accounts.sign_in(given, "fourth")
        assert 3000 < caught.value.retry_after <= 3600
    assert (await accounts.sign_in(ME, "home")).created is False
    clock.now += 3600
    assert (await accounts.sign_in(ME, "fourth")).created is False


async def test_an_email_without_account_is_refused_alike(tmp_path: Path, clock: Clock) -> None:
    """Which answers come, in which order, is the same for an e-mail that has an account and one that has none."""
    store = await Store.open(tmp_path)
    accounts = Accounts(store, clock=clock, sign_up=False)
    await accounts.create(ME)

    async def answers(email: str) -> list[str]:
        got = []
        for number in range(130):
            try:
                await accounts.sign_in(Credentials(email, "wrong", "n"), f"10.0.{number // 6}.1")
            except AuthenticationError as error:
                got.append(str(error))
        return got

    try:
        known = await answers(ME.email)
        assert known == await answers("nobody@example.org")
        assert set(known[5:6]) != {known[0]}
        assert known[-2] != known[0]
    finally:
        await store.aclose()


async def test_failures_are_bounded(accounts: Accounts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of e-mails that are made up only the newest failures are kept; an account's own are not pushed out by them."""
    monkeypatch.setattr("dxflow_async.server.hub.attempts.MAX_UNKNOWN", 3)
    await accounts.sign_in(ME, "peer")
    accounts._sign_up = False
    await fail(accounts, 5)
    for number in range(8):
        with pytest.raises(AuthenticationError):
            await accounts.sign_in(Credentials(f"nobody{number}@x", "x", "n"), "peer")
    database = sqlite3.connect(tmp_path / "home/hub.sqlite3")
    kept = database.execute("SELECT account FROM failures WHERE instr(account, '@') ORDER BY rowid").fetchall()
    database.close()
    assert kept == [("nobody5@x",), ("nobody6@x",), ("nobody7@x",)]
    with pytest.raises(TooManyTriesError):
        await accounts.sign_in(ME, "peer")


async def test_one_peer_takes_turns(accounts: Accounts) -> None:
    """Of a peer that floods the hub with tries those too many are refused at once, and others' are answered."""
    await accounts.sign_in(ME, "home")
    accounts._turns = Turns(most_waiting=4)
    tries = [asyncio.ensure_future(accounts.sign_in(WRONG, "flood")) for _ in range(20)]
    assert (await accounts.sign_in(ME, "home")).created is False
    assert not all(each.done() for each in tries)
    results = await asyncio.gather(*tries, return_exceptions=True)
    assert sum(type(each) is AuthenticationError for each in results) == 4
    assert sum(type(each) is TooManyTriesError for each in results) == 16
    assert accounts._turns._peers == {}


async def test_secrets_end(tmp_path: Path, clock: Clock) -> None:
    """A secret ends when it is not used for some time, and some time after it was given however much it is used."""
    store = await Store.open(tmp_path)
    accounts = Accounts(store, clock=clock, limits=SignInLimits(idle=100, age=250))
    try:
        used, unused = [await accounts.sign_in(ME, "peer") for _ in range(2)]
        for _ in range(3):
            clock.now += 80
            assert await accounts.user(used.user_pointer, used.user_secret) is not None
        assert await accounts.user(unused.user_pointer, unused.user_secret) is None
        assert await accounts.revoke(unused.user_pointer, unused.user_secret) is False
        clock.now += 10
        assert await accounts.user(used.user_pointer, used.user_secret) is None
        # What ended is not kept, and uses are known to another process on the same data.
        again = await accounts.sign_in(ME, "peer")
        clock.now += 70
        await accounts.user(again.user_pointer, again.user_secret)
        clock.now += 70
        other = Accounts(store, clock=clock, limits=SignInLimits(idle=100, age=250))
        assert await other.user(again.user_pointer, again.user_secret) is not None
        with store.reading() as database:
            assert database.execute("SELECT count(*) FROM sign_ins").fetchone() == (1,)
    finally:
        await store.aclose()
    with pytest.raises(ConfigurationError, match="sign-in idle"):
        SignInLimits(idle=0)


async def test_the_longest_unused_goes_first(accounts: Accounts, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of too many sign-ins the one goes that was not used for longest, be it the newest, also at the same moment."""
    monkeypatch.setattr("dxflow_async.server.hub.sign_ins.MAX_SIGN_INS", 3)
    first, second, third = [await accounts.sign_in(ME, "peer") for _ in range(3)]
    for each in (third, first):
        assert await accounts.user(each.user_pointer, each.user_secret) is not None
    await accounts.sign_in(ME, "peer")
    valid = [await accounts.user(each.user_pointer, each.user_secret) is not None for each in (first, second, third)]
    assert valid == [True, False, True]


async def test_change_password(accounts: Accounts) -> None:
    """The new password counts, the old one and all earlier sign-ins do not."""
    issued = await accounts.sign_in(ME, "peer")
    new = Credentials(ME.email.upper(), "another", "diphyx")
    await accounts.change_password(new)
    assert await accounts.user(issued.user_pointer, issued.user_secret) is None
    with pytest.raises(AuthenticationError):
        await accounts.sign_in(ME, "peer")
    assert (await accounts.sign_in(new, "peer")).user_pointer == issued.user_pointer
    with pytest.raises(ConfigurationError, match="there is no account"):
        await accounts.change_password(Credentials("nobody@example.org", "x", "diphyx"))


async def test_disable_and_enable(accounts: Accounts) -> None:
    """A disabled account has no valid secret and takes no password, saying so to the right one only."""
    issued = await accounts.sign_in(ME, "peer")
    await accounts.disable(ME.email)
    assert await accounts.user(issued.user_pointer, issued.user_secret) is None
    with pytest.raises(AuthenticationError, match="is disabled"):
        await accounts.sign_in(ME, "peer")
    with pytest.raises(AuthenticationError, match="wrong e-mail"):
        await accounts.sign_in(WRONG, "peer")
    assert [(each.email, each.disabled) for each in await accounts.accounts()] == [(ME.email, True)]
    await accounts.enable(ME.email)
    assert (await accounts.sign_in(ME, "peer")).user_pointer == issued.user_pointer
    with pytest.raises(ConfigurationError, match="there is no account"):
        await accounts.disable("nobody@example.org")


async def test_namespaces_are_listed(accounts: Accounts) -> None:
    """An account's namespaces are those it signed in to, by name."""
    issued = [await accounts.sign_in(Credentials(ME.email, ME.password, name), "peer") for name in ("b", "a", "b")]
    found = await accounts.namespaces(issued[0].user_pointer)
    assert [(each.name, each.pointer) for each in found] == [
        ("a", issued[1].namespace_pointer),
        ("b", issued[0].namespace_pointer),
    ]
