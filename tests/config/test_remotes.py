"""Named remotes: their names, and where their settings come from."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dxflow_async import AsyncSession, AzureSettings, GCSSettings, S3Settings, Session, Settings
from dxflow_async.config import environment
from dxflow_async.config.environment import is_service_link
from dxflow_async.config.remotes import remote_name, variable_start
from dxflow_async.exceptions import ConfigurationError

MINIO = """
[remotes.minio]
type = "s3"  # of the laboratory
endpoint = "https://minio.example.org"
access_key = "me"
secret_key = "hush-hush"
"""


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """`DXFLOW_HOME`, no other variable of ours, and no variable that was warned of before."""
    for name in list(os.environ):
        if name.startswith("DXFLOW_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("DXFLOW_HOME", str(tmp_path))
    monkeypatch.setattr(environment, "_told", set())
    return tmp_path


def write(home: Path, text: str) -> Path:
    path = home / "config.toml"
    path.write_text(text)
    path.chmod(0o600)
    return path


def test_a_section_is_a_remote(home: Path) -> None:
    """Its type says which settings it has; the remotes that are always there stay as they are."""
    write(home, MINIO + "[remotes.Second-Account]\ntype = 'azure'\naccount = 'science'\n[remotes.g]\ntype = 'gcs'\n")
    with pytest.raises(ConfigurationError, match=r"config\.toml:10: remote name 'g' is not allowed"):
        Settings.load()
    write(home, MINIO + "[remotes.Second-Account]\ntype = 'Azure'\naccount = 'science'\n[remotes.g2]\ntype = 'gcs'\n")
    loaded = Settings.load()
    assert loaded.remotes == {
        "minio": S3Settings(endpoint="https://minio.example.org", access_key="me", secret_key="hush-hush"),
        "second-account": AzureSettings(account="science"),
        "g2": GCSSettings(),
    }
    assert loaded.aws == S3Settings()
    assert "hush" not in repr(loaded)


def test_variables_win_over_the_file(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`DXFLOW_REMOTE_NAME_KEY` sets one setting of a remote."""
    write(home, MINIO)
    monkeypatch.setenv("DXFLOW_REMOTE_MINIO_SECRET_KEY", "quiet")
    monkeypatch.setenv("DXFLOW_REMOTE_MINIO_SIGN_PAYLOAD", "yes")
    minio = Settings.load().remotes["minio"]
    assert (minio.access_key, minio.secret_key, minio.sign_payload) == ("me", "quiet", True)


def test_variables_alone_define_a_remote(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A type is enough; the name's `-` is a `_` there."""
    assert home
    monkeypatch.setenv("DXFLOW_REMOTE_MY_MINIO_TYPE", "s3")
    monkeypatch.setenv("DXFLOW_REMOTE_MY_MINIO_ENDPOINT", "http://127.0.0.1:9000")
    assert Settings.load().remotes == {"my-minio": S3Settings(endpoint="http://127.0.0.1:9000")}


def test_arguments_win_over_both(home: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """A remote that is given in code is taken as it is, and the others stay."""
    write(home, MINIO)
    monkeypatch.setenv("DXFLOW_REMOTE_MINIO_REGION", "variable")
    monkeypatch.setenv("DXFLOW_REMOTE_OTHER_TYPE", "s3")
    given = S3Settings(region="argument")
    assert Settings.load(remotes={"MinIO": given}).remotes == {"minio": given, "other": S3Settings()}
    session = AsyncSession(remotes={"MinIO": given})
    assert session.settings.remotes["minio"] is given
    assert not caplog.messages


async def test_sessions_take_remotes(home: Path) -> None:
    """Beside settings as well: both sets are there."""
    settings = Settings(home=home, remotes={"one": S3Settings(region="one"), "two": S3Settings(region="two")})
    async with AsyncSession(settings=settings, remotes={"TWO": S3Settings(region="changed")}) as session:
        assert {name: each.region for name, each in session.settings.remotes.items()} == {
            "one": "one",
            "two": "changed",
        }


def test_blocking_sessions_take_remotes(home: Path) -> None:
    """As the asynchronous ones."""
    with Session(settings=Settings(home=home), remotes={"minio": S3Settings(region="one")}) as session:
        assert session.settings.remotes["minio"].region == "one"


def test_a_variable_of_two_remotes_is_the_longer_ones(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`A_B_REGION` is `region` of `a2-b`, also when there is `a2`; `A_B` without such a setting is not in the way."""
    write(home, "[remotes.a2]\ntype = 's3'\n[remotes.a2-access]\ntype = 's3'\n")
    monkeypatch.setenv("DXFLOW_REMOTE_A2_ACCESS_REGION", "longer")
    monkeypatch.setenv("DXFLOW_REMOTE_A2_REGION", "shorter")
    monkeypatch.setenv("DXFLOW_REMOTE_A2_ACCESS_KEY", "of-a2")  # a2-access has no setting `key`
    monkeypatch.setenv("DXFLOW_REMOTE_A2_SECRET_KEY", "hush")
    remotes = Settings.load().remotes
    assert remotes["a2-access"] == S3Settings(region="longer")
    assert remotes["a2"] == S3Settings(region="shorter", access_key="of-a2", secret_key="hush")


@pytest.mark.parametrize(
    "name", ["aws", "AWS", "Azure", "gcp", "unit", "local", "s3", "gs", "az", "file", "http", "https", "sftp", "abfss"]
)
def test_reserved_names(name: str) -> None:
    """What a location means already is the name of no remote."""
    with pytest.raises(ConfigurationError, match="reserved"):
        Settings(remotes={name: S3Settings()})


@pytest.mark.parametrize("name", ["", "m", "1st", "my_minio", "my.minio", "-minio", "my minio", "mïnio", "a/b", "a:"])
def test_names_that_are_not_allowed(name: str) -> None:
    """A name is two or more letters, digits and `-`."""
    with pytest.raises(ConfigurationError, match="is not allowed"):
        Settings(remotes={name: S3Settings()})


def test_the_same_name_in_another_case(home: Path) -> None:
    """Names that give one variable are an error, in the file and in code."""
    write(home, "[remotes.minio]\ntype = 's3'\n[remotes.MINIO]\ntype = 's3'\n")
    with pytest.raises(ConfigurationError, match=r"config\.toml:3: remote 'minio' is there twice"):
        Settings.load()
    with pytest.raises(ConfigurationError, match="twice"):
        Settings(remotes={"minio": S3Settings(), "Minio": S3Settings()})


@given(one=st.text("ab1-", min_size=2, max_size=5), other=st.text("ab1-", min_size=2, max_size=5))
def test_no_two_names_share_variables(one: str, other: str) -> None:
    """The variables of different names start differently."""
    assert (one == other) == (variable_start(one) == variable_start(other))


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        (MINIO + "regon = 'x'", 7, ["unknown setting remotes.minio.regon", "did you mean region?"]),
        ("[aws]\nregion = 'a'\n" + MINIO + "region = 'b c'", 9, ["remotes.minio.region = 'b c'"]),
        ("[remotes.minio]\nendpoint = 'https://x'", 1, ["remotes.minio.type is missing", 'type = "s3"']),
        ("[remotes.minio]\n\ntype = 's4'", 3, ["type = 's4'", "s3"]),
        ("[remotes.minio]\ntype = 'unit'", 2, ["type = 'unit'"]),
        ("[remotes.minio]\ntype = 3", 2, ["remotes.minio.type = 3"]),
        ("[remotes]\nminio = 3", 2, ["remotes.minio must be a table"]),
        ("remotes = 3", 1, ["remotes must be a table"]),
        ("[remotes.aws]\ntype = 's3'", 1, ["'aws' is reserved"]),
        ("[remotes.minio]\ntype = 's3'\nsign_payload = 'perhaps'", 3, ["remotes.minio.sign_payload", "true or false"]),
        ("[remotes.minio]\ntype = 's3'\naccess_key = 'x'", 3, ["remotes.minio.secret_key go together"]),
        ("[remotes.minio]\ntype = 's3'\nsecret_key = 'hush'", 1, ["remotes.minio.secret_key go together"]),
        ("[remotes.two]\ntype = 'azure'\naccount_key = 'hush'", 3, ["remotes.two.account_key needs"]),
        (
            "[remotes.two]\ntype = 'azure'\naccount_key = \"hush\\nhush\"\naccount = 'abc'",
            3,
            ["remotes.two.account_key"],
        ),
        ("[remotes.dir]\ntype = 'local'\nroot = 'relative'", 3, ["remotes.dir.root = 'relative'", "absolute"]),
        ("[aws]\nregion = 'x'\n[remotes.minio]\ntype = 's3'\nregion = [3]", 5, ["remotes.minio.region"]),
        ("remotes.minio = { type = 's3', region = 'b c' }", 1, ["remotes.minio.region = 'b c'"]),
    ],
)
def test_wrong_sections_name_their_line(home: Path, text: str, line: int, words: list[str]) -> None:
    """The error names file, line and setting, with the nearest one where it is unknown; no secret is shown."""
    path = write(home, text)
    with pytest.raises(ConfigurationError) as raised:
        Settings.load()
    message = str(raised.value)
    assert message.startswith(f"{path}:{line}: ")
    assert all(word in message for word in words)
    assert "hush" not in message


@pytest.mark.parametrize(
    ("variables", "words"),
    [
        ({"DXFLOW_REMOTE_MINIO_TYPE": "s4"}, ["DXFLOW_REMOTE_MINIO_TYPE", "s4"]),
        ({"DXFLOW_REMOTE_S3_TYPE": "s3"}, ["DXFLOW_REMOTE_S3_TYPE", "reserved"]),
        (
            {"DXFLOW_REMOTE_MINIO_TYPE": "s3", "DXFLOW_REMOTE_MINIO_REGION": "a b"},
            ["DXFLOW_REMOTE_MINIO_REGION", "remotes.minio.region"],
        ),
        (
            {"DXFLOW_REMOTE_MINIO_TYPE": "s3", "DXFLOW_REMOTE_MINIO_SECRET_KEY": "hush\nhush"},
            ["DXFLOW_REMOTE_MINIO_SECRET_KEY", "remotes.minio.secret_key"],
        ),
    ],
)
def test_wrong_variables_are_named(
    home: Path, monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], words: list[str]
) -> None:
    """The error names the variable and the setting; no secret is shown."""
    assert home
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ConfigurationError) as raised:
        Settings.load()
    assert all(word in str(raised.value) for word in words)
    assert "hush" not in str(raised.value)


@pytest.mark.parametrize("value", [None, "s3", {"type": "s3"}, S3Settings, object()])
def test_what_is_no_settings(value: Any) -> None:
    """A remote in code is the settings of a provider."""
    with pytest.raises(ConfigurationError, match="it must be the settings of a provider"):
        Settings(remotes={"minio": value})


def test_others_readers_of_a_remotes_secret_are_told(home: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A file with the secret of a remote is worth the warning that one with `[aws]`'s is."""
    write(home, MINIO).chmod(0o644)
    assert Settings.load().remotes
    assert "chmod 600" in caplog.text


# Variables of others


LINKS = {
    "DXFLOW_SERVICE_HOST": "10.0.0.7",
    "DXFLOW_SERVICE_PORT": "8780",
    "DXFLOW_SERVICE_PORT_HTTP": "8780",
    "DXFLOW_PORT": "tcp://10.0.0.7:8780",
    "DXFLOW_PORT_8780_TCP": "tcp://10.0.0.7:8780",
    "DXFLOW_PORT_8780_TCP_PROTO": "tcp",
    "DXFLOW_PORT_8780_TCP_PORT": "8780",
    "DXFLOW_PORT_8780_TCP_ADDR": "10.0.0.7",
    "DXFLOW_HUB_SERVICE_HOST": "10.0.0.7",
    "DXFLOW_HUB_PORT": "tcp://10.0.0.7:8780",
    "DXFLOW_API_SERVICE_PORT_HTTP": "8780",
    "DXFLOW_AWS_PORT_53_UDP": "udp://10.0.0.7:53",
    "DXFLOW_REMOTE_MINIO_SERVICE_HOST": "10.0.0.7",
    "DXFLOW_REMOTE_MINIO_PORT": "tcp://10.0.0.7:9000",
}


def test_kubernetes_service_links_are_not_ours(
    home: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """What a service called dxflow puts into every pod's environment changes nothing and is not warned of."""
    for name, value in LINKS.items():
        monkeypatch.setenv(name, value)
        assert is_service_link(name)
    assert Settings.load() == Settings(home=home)
    assert not caplog.messages


def test_unknown_variables_are_warned_of_once(
    home: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """They stop nothing; the log names the nearest one, and not the value."""
    write(home, MINIO)
    for name in ("MAX_CONCURENCY", "AWS_SECRETKEY", "REMOTE_MINIO_ENDPONT", "REMOTE_OTHER_REGION", "QQQQ"):
        monkeypatch.setenv(f"DXFLOW_{name}", "hush")
    with caplog.at_level(logging.WARNING):
        assert Settings.load() == Settings.load()
    said = {each.split(" ")[3]: each for each in caplog.messages}
    assert len(caplog.messages) == 5
    assert said["DXFLOW_MAX_CONCURENCY"].endswith("is ignored; did you mean DXFLOW_MAX_CONCURRENCY?")
    assert "did you mean DXFLOW_AWS_SECRET_KEY?" in said["DXFLOW_AWS_SECRETKEY"]
    assert "did you mean DXFLOW_REMOTE_MINIO_ENDPOINT?" in said["DXFLOW_REMOTE_MINIO_ENDPONT"]
    assert "DXFLOW_REMOTE_OTHER_REGION is ignored" in said["DXFLOW_REMOTE_OTHER_REGION"]
    assert said["DXFLOW_QQQQ"].endswith("is ignored")
    assert "hush" not in caplog.text


# The home directory


def test_a_user_without_a_home_is_told_to_set_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the system knows no home directory, the error says which variable to set."""

    def unknown(_: str) -> Path:
        raise RuntimeError("could not determine the home directory")

    monkeypatch.delenv("DXFLOW_HOME", raising=False)
    monkeypatch.setattr("platformdirs.user_data_path", unknown)
    for make in (Settings, Settings.load):
        with pytest.raises(ConfigurationError, match="set DXFLOW_HOME"):
            make()


def test_paths_may_be_given_as_text(tmp_path: Path) -> None:
    """`home`, `ca_bundle` and `service_file` are paths afterwards."""
    file = tmp_path / "file"
    file.touch()
    made = Settings(home=str(tmp_path), ca_bundle=str(file), gcp=GCSSettings(service_file=str(file)))  # type: ignore[arg-type]
    assert (made.home, made.ca_bundle, made.gcp.service_file) == (tmp_path, file, file)


def test_names_are_remembered_in_small_letters() -> None:
    """Case does not matter in a name."""
    assert remote_name("My-MinIO") == "my-minio"
