"""`remotes ...`, and all commands with the name of a remote."""

from __future__ import annotations

import json
import stat
from pathlib import Path
from uuid import uuid4

import pytest

from dxflow_async import S3Settings, Settings
from tests.cli.called_command import Command, s3_variables
from tests.python_processes import RunningScript, clean_environment
from tests.servers.weed import SeaweedFS

FILE = """# The laboratory's.
max_attempts = 3  # three

[aws]
region = "eu-central-1"

# The old one.
[remotes.Old]
type = "s3" # as it was
endpoint = "http://127.0.0.1:1"

[azure]
account = "science"
"""


@pytest.fixture
def file(home: Path) -> Path:
    """The configuration file, with comments in it."""
    home.mkdir()
    path = home / "config.toml"
    path.write_text(FILE)
    return path


def test_adding_keeps_everything_else(command: Command, file: Path) -> None:
    """Comments and order stay; the secret comes from standard input and is not shown; only the owner may read it."""
    added = command(
        *("remotes", "add", "MinIO", "--type", "s3", "--endpoint", "https://minio.example.org", "--access-key", "me"),
        stdin="hush-hush\n",
    )
    assert (added.status, added.stderr) == (0, "")
    assert "endpoint=https://minio.example.org access_key=me secret_key=***" in added.stdout
    assert "hush" not in added.stdout
    text = file.read_text()
    for line in FILE.splitlines():
        assert line in text.splitlines()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    minio = S3Settings(endpoint="https://minio.example.org", access_key="me", secret_key="hush-hush")
    loaded = Settings.load()
    assert (loaded.remotes["minio"], loaded.max_attempts, loaded.azure.account) == (minio, 3, "science")
    removed = command("remotes", "remove", "MINIO")
    assert (removed.status, removed.stdout) == (0, "removed minio\n")
    assert file.read_text() == FILE


def test_the_first_remote_makes_the_file(command: Command, home: Path) -> None:
    """Without a configuration file there is one afterwards; nothing else is left beside it."""
    assert command("remotes", "add", "scratch", "--type", "local", "--root", "/scratch").status == 0
    assert [path.name for path in home.iterdir()] == ["config.toml"]
    assert command("remotes", "remove", "scratch").status == 0
    assert (home / "config.toml").read_text() == ""


def test_secrets_come_from_variables(command: Command, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The variable of a remote's secret is used where it is set, and nothing is asked."""
    monkeypatch.setenv("DXFLOW_REMOTE_ARCHIVE_ACCOUNT_KEY", "aHVzaA==")
    added = command("remotes", "add", "archive", "--type", "azure", "--account", "science", "--json")
    assert json.loads(added.stdout) == {
        "version": 1,
        "type": "remote",
        "name": "archive",
        "kind": "azure",
        "settings": {"account": "science", "account_key": "***"},
        "from": str(home / "config.toml"),
    }
    monkeypatch.delenv("DXFLOW_REMOTE_ARCHIVE_ACCOUNT_KEY")
    assert Settings.load().remotes["archive"].account_key == "aHVzaA=="
    asked = command(
        "remotes", "add", "other", "--type", "azure", "--secret", "connection-string", stdin="AccountName=abc\n"
    )
    assert asked.status == 0
    assert Settings.load().remotes["other"].connection_string == "AccountName=abc"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("aws", "--type", "s3"), ["reserved"]),
        (("s3", "--type", "s3"), ["reserved"]),
        (("m", "--type", "s3"), ["not allowed"]),
        (("minio", "--type", "s4"), ["type = 's4'", "azure, engine, gcs", "s3"]),
        (("minio", "--type", "s3", "--regon", "x"), ["--regon", "did you mean --region?"]),
        (("minio", "--type", "s3", "--region", "a b"), ["--region", "remotes.minio.region = 'a b'"]),
        (("minio", "--type", "s3", "--secret-key", "hush"), ["DXFLOW_REMOTE_MINIO_SECRET_KEY", "--secret secret_key"]),
        (("minio", "--type", "s3", "--access-key", "me"), ["no secret_key was given"]),
        (("minio", "--type", "s3", "--sign-payload", "perhaps"), ["true or false"]),
        (("old", "--type", "s3"), ["has a remote old already", "--replace"]),
    ],
)
def test_what_cannot_be_added(command: Command, file: Path, arguments: tuple[str, ...], words: list[str]) -> None:
    """The status is 2, the message says why and shows no secret, and the file is as it was."""
    outcome = command("remotes", "add", *arguments)
    assert outcome.status == 2
    assert all(word in outcome.stderr for word in words)
    assert "hush" not in outcome.stderr + outcome.stdout
    assert file.read_text() == FILE


def test_replacing(command: Command, file: Path) -> None:
    """With --replace the section has the new settings only, under the name as it was written."""
    assert command("remotes", "add", "old", "--type", "s3", "--region", "new", "--replace").status == 0
    assert Settings.load().remotes == {"old": S3Settings(region="new")}
    assert "# The laboratory's." in file.read_text()


def test_removing_what_is_not_there(command: Command, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is told, with status 3; a remote of the environment cannot be removed from the file."""
    for name in ("none", "NONE"):
        outcome = command("remotes", "remove", name)
        assert (outcome.status, "has no remote 'none'" in outcome.stderr) == (3, True)
    assert command("remotes", "remove", "aws").status == 2
    monkeypatch.setenv("DXFLOW_REMOTE_OTHER_TYPE", "s3")
    outcome = command("remotes", "remove", "other")
    assert (outcome.status, "DXFLOW_REMOTE_OTHER_TYPE" in outcome.stderr) == (3, True)
    assert file.read_text() == FILE


def test_a_broken_remote_can_be_removed(command: Command, file: Path) -> None:
    """Also when no other command works with the file."""
    file.write_text(FILE + "[remotes.broken]\ntype = 'nothing'\n")
    assert command("remotes", "list").status == 2
    assert command("remotes", "remove", "broken").status == 0
    assert command("remotes", "list").status == 0


def test_files_that_cannot_be_changed(command: Command, file: Path) -> None:
    """A file that is not TOML is left as it is."""
    file.write_text("[remotes")
    outcome = command("remotes", "add", "disk", "--type", "local", "--root", "/x")
    assert (outcome.status, str(file) in outcome.stderr) == (2, True)
    assert file.read_text() == "[remotes"


def test_a_link_to_the_file_stays_one(command: Command, file: Path, tmp_path: Path) -> None:
    """Where the file is kept elsewhere it is changed there."""
    target = tmp_path / "elsewhere.toml"
    file.rename(target)
    file.symlink_to(target)
    assert command("remotes", "add", "disk", "--type", "local", "--root", "/x").status == 0
    assert file.is_symlink()
    assert "[remotes.disk]" in target.read_text()


def test_two_at_once_are_both_there(file: Path, home: Path) -> None:
    """Changes of several processes follow one another."""
    environment = clean_environment(home)
    modules = [
        ("dxflow_async.cli", "remotes", "add", f"disk-{number}", "--type", "local", "--root", "/x")
        for number in range(4)
    ]
    scripts = [RunningScript("", environment, module=module, strict=False) for module in modules]
    assert [script.wait().status for script in scripts] == [0] * 4
    assert len(Settings.load().remotes) == 5
    assert file.exists()


def test_listing(command: Command, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every remote with its type, its settings and where they are from; secrets are ***."""
    monkeypatch.setenv("DXFLOW_REMOTE_ENV_TYPE", "s3")
    monkeypatch.setenv("DXFLOW_REMOTE_ENV_ACCESS_KEY", "me")
    monkeypatch.setenv("DXFLOW_REMOTE_ENV_SECRET_KEY", "hush")
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", "/key.json")
    outcome = command("remotes", "list", "--json")
    rows = {row["name"]: row for row in map(json.loads, outcome.stdout.splitlines())}
    assert list(rows) == ["aws", "azure", "gcp", "env", "old"]
    assert (rows["aws"]["kind"], rows["aws"]["settings"]) == ("s3", {"region": "eu-central-1"})
    assert rows["aws"]["from"] == str(file)
    assert rows["gcp"]["from"] == "GOOGLE_APPLICATION_CREDENTIALS"
    assert rows["env"]["settings"] == {"access_key": "me", "secret_key": "***"}
    assert rows["env"]["from"] == "DXFLOW_REMOTE_ENV_*"
    text = command("remotes", "list").stdout
    assert "old          s3     endpoint=http://127.0.0.1:1" in text
    assert "hush" not in text + outcome.stdout


# At a real server


@pytest.fixture
def bucket(configured: SeaweedFS, monkeypatch: pytest.MonkeyPatch) -> str:
    """A bucket at a server that is the remote `minio`, by variables alone; `aws` is the same service."""
    monkeypatch.setenv("DXFLOW_REMOTE_MINIO_TYPE", "s3")
    for name, value in s3_variables(configured).items():
        monkeypatch.setenv(name.replace("DXFLOW_AWS_", "DXFLOW_REMOTE_MINIO_"), value)
    return configured.create_bucket(f"bucket-{uuid4().hex[:12]}")


def test_every_command_takes_a_remotes_name(command: Command, bucket: str, tmp_path: Path) -> None:
    """cp, mv, sync, ls, cat, presign and rm, with the name in any case and with a URL."""
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "a.txt").write_bytes(b"aaa")
    top = f"minio:/{bucket}"
    assert command("cp", "data/", f"{top}/in/").status == 0
    assert command("cp", f"MINIO:/{bucket}/in/a.txt", f"s3://{bucket}/copied.txt").status == 0
    assert command("mv", f"{top}/in/a.txt", f"{top}/in/b.txt").status == 0
    assert command("sync", "data", f"{top}/synced").status == 0
    assert [line.split()[-1] for line in command("ls", "-r", f"{top}/").stdout.splitlines()] == [
        "copied.txt",
        "in/b.txt",
        "synced/a.txt",
    ]
    assert command("ls", f"s3://{bucket}/in/").stdout.endswith(" b.txt\n")
    assert command("cat", f"{top}/in/b.txt").stdout == "aaa"
    assert command("presign", f"{top}/in/b.txt").stdout.startswith("http://")
    assert command("rm", f"{top}/copied.txt", f"s3://{bucket}/in/b.txt").status == 0
    assert command("rm", "-r", f"{top}/synced/").status == 0
    assert command("ls", f"{top}/copied.txt").status == 3
    unknown = command("ls", f"mino:/{bucket}/")
    assert (unknown.status, f"write minio:/{bucket}/" in unknown.stderr) == (2, True)


def test_testing_makes_a_request(
    command: Command, bucket: str, configured: SeaweedFS, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It says what is there, and fails as a request fails: wrong keys 1, nothing there 3, no such remote 2."""
    configured.client.put_object(Bucket=bucket, Key="dir/x", Body=b"xyz")
    for arguments, text in (
        (("minio",), "minio:/ answers: "),
        (("MinIO", f"/{bucket}/"), f"minio:/{bucket}/ answers: 1 item,"),
        (("minio", f"/{bucket}/dir/x"), f"minio:/{bucket}/dir/x answers: 3 bytes"),
        (("aws", f"/{bucket}/"), f"aws:/{bucket}/ answers: 1 item,"),
    ):
        outcome = command("remotes", "test", *arguments)
        assert (outcome.status, outcome.stdout.startswith(text)) == (0, True), outcome
    row = json.loads(command("remotes", "test", "minio", f"/{bucket}/", "--json").stdout)
    assert (row["ok"], row["items"], row["more"], row["name"]) == (True, 1, False, "minio")
    assert row["facts"]["UNSIGNED-PAYLOAD in signatures"] == "yes (as it answered)"
    assert (
        "  UNSIGNED-PAYLOAD in signatures: yes (as it answered)\n"
        in command("remotes", "test", "minio", f"/{bucket}/").stdout
    )
    assert command("remotes", "test", "minio", f"/{bucket}/none").status == 3
    assert command("remotes", "test", "minio", "/no-such-bucket-here/").status == 3
    unknown = command("remotes", "test", "mino")
    assert (unknown.status, "did you mean minio?" in unknown.stderr) == (2, True)
    monkeypatch.setenv("DXFLOW_REMOTE_MINIO_SECRET_KEY", "wrong-and-hush")
    refused = command("remotes", "test", "minio")
    assert (refused.status, "MINIO" in refused.stderr, "hush" in refused.stderr) == (4, True, False)
    monkeypatch.setenv("DXFLOW_REMOTE_MINIO_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setenv("DXFLOW_MAX_ATTEMPTS", "1")
    assert command("remotes", "test", "minio").status == 5


def test_the_sdks_account_is_told(
    signed_in: Command, configured: SeaweedFS, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """With keys of the SDK only, a signed-in copy goes to the real service, and the last line says which it is."""
    bucket = configured.create_bucket(f"bucket-{uuid4().hex[:12]}")
    for name in s3_variables(configured):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", configured.access_key)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", configured.secret_key)
    monkeypatch.setenv("AWS_ENDPOINT_URL", configured.endpoint)
    (tmp_path / "file").write_bytes(b"x")
    copied = signed_in("cp", "file", f"aws:/{bucket}/file")
    assert copied.status == 0
    assert copied.stdout.splitlines()[-1] == f"AWS is {configured.endpoint}: AWS_ACCESS_KEY_ID configures it"
    assert configured.client.get_object(Bucket=bucket, Key="file")["Body"].read() == b"x"
