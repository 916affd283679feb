"""Which proxy a request goes through."""

from __future__ import annotations

import base64
import sys
import urllib.request
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dxflow_async.exceptions import ConfigurationError
from dxflow_async.net.proxy import Proxy, ProxyRules


def proxy_for(environ: dict[str, str], scheme: str = "https", host: str = "service.example", port: int = 443) -> str:
    """The proxy's URL, or nothing."""
    proxy = ProxyRules.from_environment(environ).proxy_for(scheme, host, port)
    return "" if proxy is None else proxy.url


def parsed(value: str) -> Proxy:
    """The proxy of a value."""
    proxy = ProxyRules.from_environment({"HTTPS_PROXY": value}).proxy_for("https", "service.example", 443)
    assert proxy is not None
    return proxy


@pytest.mark.parametrize(
    ("environ", "http", "https"),
    [
        ({}, "", ""),
        ({"HTTP_PROXY": "http://a:1"}, "http://a:1", ""),
        ({"HTTPS_PROXY": "http://a:1"}, "", "http://a:1"),
        ({"https_proxy": "http://a:1", "HTTPS_PROXY": "http://b:1"}, "", "http://a:1"),
        ({"https_proxy": "", "HTTPS_PROXY": "http://b:1"}, "", ""),
        ({"ALL_PROXY": "http://a:1"}, "http://a:1", "http://a:1"),
        ({"all_proxy": "http://a:1", "ALL_PROXY": "http://b:1"}, "http://a:1", "http://a:1"),
        ({"ALL_PROXY": "http://a:1", "HTTPS_PROXY": "http://b:1"}, "http://a:1", "http://b:1"),
        ({"ALL_PROXY": "http://a:1", "HTTPS_PROXY": ""}, "http://a:1", "http://a:1"),
        ({"HTTP_PROXY": "http://a:1", "REQUEST_METHOD": "GET"}, "", ""),
        ({"http_proxy": "http://a:1", "REQUEST_METHOD": "GET"}, "http://a:1", ""),
        ({"HTTPS_PROXY": "http://a:1", "REQUEST_METHOD": "GET"}, "", "http://a:1"),
        ({"Https_Proxy": "http://a:1", "FTP_PROXY": "http://a:1"}, "", ""),
    ],
)
def test_each_scheme_has_its_variable(environ: dict[str, str], http: str, https: str) -> None:
    """A scheme's own variable wins over ALL_PROXY, lower case over capitals, and a CGI program ignores HTTP_PROXY."""
    assert proxy_for(environ, "http", port=80) == http
    assert proxy_for(environ, "https") == https


@pytest.mark.parametrize(
    ("value", "url"),
    [
        ("http://proxy.example", "http://proxy.example:80"),
        ("https://proxy.example", "https://proxy.example:443"),
        ("HTTPS://proxy.example/", "https://proxy.example:443"),
        ("http://proxy.example:", "http://proxy.example:80"),
        ("proxy.example", "http://proxy.example:80"),
        ("proxy.example:3128", "http://proxy.example:3128"),
        ("  http://proxy.example:3128/ ", "http://proxy.example:3128"),
        ("http://10.0.0.1:3128", "http://10.0.0.1:3128"),
        ("[::1]:3128", "http://[::1]:3128"),
        ("http://[2001:db8::1]", "http://[2001:db8::1]:80"),
        ("http://[::ffff:10.0.0.1]", "http://[::ffff:10.0.0.1]:80"),
        ("http://[fe80::1%25eth0]:3128", "http://[fe80::1%eth0]:3128"),
        ("user:password@proxy_1:3128", "http://proxy_1:3128"),
        ("http://bücher.example:1", "http://xn--bcher-kva.example:1"),
    ],
)
def test_a_proxy_is_written_as_a_url(value: str, url: str) -> None:
    """The scheme is http by default, and the port that of the scheme."""
    assert parsed(value).url == url


@pytest.mark.parametrize(
    ("value", "username", "password"),
    [
        ("http://zoe:pw@proxy:1", "zoe", "pw"),
        ("http://zoe@proxy:1", "zoe", ""),
        ("http://zoe:@proxy:1", "zoe", ""),
        ("http://do%20main%5Czoe:p%40ss%3Aw%2Ford%25@proxy:1", "do main\\zoe", "p@ss:w/ord%"),
        ("http://zoe:p@ss:word@proxy:1", "zoe", "p@ss:word"),
        ("http://zoe:p%C3%A4ss@proxy:1", "zoe", "päss"),
    ],
)
def test_credentials_are_decoded(value: str, username: str, password: str) -> None:
    """User and password are percent-decoded, sent as HTTP Basic, and shown nowhere."""
    proxy = parsed(value)
    assert (proxy.username, proxy.password) == (username, password)
    assert proxy.authorization is not None
    assert base64.b64decode(proxy.authorization.removeprefix("Basic ")).decode() == f"{username}:{password}"
    rules = ProxyRules.from_environment({"ALL_PROXY": value})
    shown = f"{proxy!r} {proxy} {proxy.url} {proxy.authorization!r} {rules!r}"
    assert "zoe" not in shown.replace("username", "").replace("scheme", "")
    assert "ss" not in shown


def test_bytes_of_credentials_stay() -> None:
    """A password in another encoding than UTF-8 is sent byte by byte."""
    assert base64.b64decode((parsed("http://a:%E4@proxy").authorization or "").removeprefix("Basic ")) == b"a:\xe4"
    assert parsed("http://proxy").authorization is None


@pytest.mark.parametrize("scheme", ["socks", "socks4", "socks4a", "socks5", "socks5h", "SOCKS5", "ftp", "quic"])
def test_other_protocols_are_refused_by_name(scheme: str) -> None:
    """A proxy of another protocol is an error that names the variable, the protocol and the way out; no secret."""
    with pytest.raises(ConfigurationError) as raised:
        proxy_for({"ALL_PROXY": f"{scheme}://me:hush-hush@proxy.example:1080"})
    message = str(raised.value)
    assert f"ALL_PROXY = '{scheme.lower()}://proxy.example:1080'" in message
    assert ("SOCKS" if scheme.lower().startswith("socks") else f"{scheme}://") in message
    assert "unset ALL_PROXY" in message
    assert "hush" not in repr(raised.value.args)


def test_only_a_proxy_that_is_used_is_checked() -> None:
    """An unusable proxy of another scheme, or of a host in NO_PROXY, disturbs nobody."""
    environ = {"ALL_PROXY": "socks5://a:1", "HTTPS_PROXY": "http://b:1", "NO_PROXY": "internal.example"}
    assert proxy_for(environ) == "http://b:1"
    assert proxy_for(environ, "http", "internal.example", 80) == ""


@pytest.mark.parametrize(
    "value",
    [
        "http://",
        "http://:3128",
        "http://proxy:0",
        "http://proxy:65536",
        "http://proxy:99999999999999999999",
        "http://proxy:abc",
        "http://proxy:3128:1",
        "http://proxy:٣",
        "http://pro xy:1",
        "http://proxy\r\nX-Header: 1",
        "http://me:pa/hush-hush@proxy:1",
        "http://me:pa#hush-hush@proxy:1",
        "http://me:pa?hush-hush@proxy:1",
        "http://a%3Ab:hush-hush@proxy:1",
        "http://proxy:1/path",
        "http://proxy:1?query",
        "http://::1:3128",
        "http://[::1",
        "http://[proxy]:1",
        "http://[127.0.0.1]:1",
        "http://pro..xy:1",
        "//proxy:1",
        "/proxy",
    ],
)
def test_invalid_proxies_are_refused(value: str) -> None:
    """A value that does not lead to exactly one host is an error that names the variable and shows no part of it."""
    with pytest.raises(
        ConfigurationError, match=r"^https_proxy is not allowed: it must be a URL such as http://host:port"
    ) as raised:
        proxy_for({"https_proxy": value})
    assert "hush" not in str(raised.value)


@pytest.mark.parametrize(
    ("entries", "host", "direct"),
    [
        ("*", "service.example", True),
        ("a.example, *", "service.example", True),
        ("service.example", "service.example", True),
        ("SERVICE.example", "Service.Example.", True),
        ("service.example.", "service.example", True),
        ("example", "service.example", True),
        (".example", "service.example", True),
        (".service.example", "service.example", True),
        ("*.example", "service.example", True),
        ("*.service.example", "service.example", False),
        ("vice.example", "service.example", False),
        ("xample", "service.example", False),
        ("serviceXexample", "service.example", False),
        ("a.example b.example,,  service.example\t", "service.example", True),
        ("service.example:443", "service.example", True),
        ("service.example:8443", "service.example", False),
        (".example:443", "service.example", True),
        ("https://service.example/", "service.example", True),
        ("", "service.example", False),
        (" , ", "service.example", False),
        (".", "service.example", False),
        ("127.0.0.1", "127.0.0.1", True),
        ("127.0.0.1:443", "127.0.0.1", True),
        ("127.0.0.1:80", "127.0.0.1", False),
        ("127.0.0.1", "127.0.0.10", False),
        ("127.0.0.0/8", "127.4.5.6", True),
        ("127.0.0.1/8", "127.4.5.6", True),
        ("10.0.0.0/8", "11.0.0.1", False),
        ("10.0.0.0/8", "10.example", False),
        ("10.0.0.0/99", "10.0.0.1", False),
        ("10.*", "10.1.2.3", True),
        ("169.254/16", "169.254.169.254", True),
        ("0.0.0.0/0", "1.2.3.4", True),
        ("::1", "::1", True),
        ("::1", "[::1]", True),
        ("[::1]", "::1", True),
        ("[::1]:443", "[::1]", True),
        ("[::1]:80", "[::1]", False),
        ("0:0:0:0:0:0:0:1", "::1", True),
        ("fe80::/10", "fe80::1%eth0", True),
        ("[fe80::]/10", "fe80::1", True),
        ("2001:db8::/32", "2001:db9::1", False),
        ("10.0.0.0/8", "::ffff:10.1.1.1", True),
        ("localhost", "127.0.0.1", False),
        ("localhost", "localhost", True),
    ],
)
@pytest.mark.parametrize("variable", ["NO_PROXY", "no_proxy"])
def test_no_proxy_names_hosts_that_are_reached_directly(
    variable: str, entries: str, host: str, *, direct: bool
) -> None:
    """Names stand for their subdomains; addresses, networks, ports, patterns and IPv6 are understood."""
    assert (proxy_for({"HTTPS_PROXY": "http://proxy:1", variable: entries}, host=host) == "") == direct


def test_lower_case_wins_in_no_proxy_too() -> None:
    """`no_proxy` is read instead of `NO_PROXY` where both are set."""
    environ = {"HTTPS_PROXY": "http://proxy:1", "no_proxy": "a.example", "NO_PROXY": "service.example"}
    assert proxy_for(environ) == "http://proxy:1"


def test_servers_of_this_process_are_exempt() -> None:
    """A server inside this process is reached directly, and only on its own port."""
    rules = ProxyRules.from_environment({"ALL_PROXY": "socks5://proxy:1"})
    rules.exempt("127.0.0.1", 8780)
    assert rules.proxy_for("http", "127.0.0.1", 8780) is None
    with pytest.raises(ConfigurationError, match="SOCKS"):
        rules.proxy_for("http", "127.0.0.1", 8781)


@pytest.mark.parametrize(
    ("host", "port", "direct"),
    [
        ("169.254.169.254", 80, True),
        ("[fd00:ec2::254]", 80, True),
        ("fd20:ce::254", 80, True),
        ("Metadata.Google.Internal.", 80, True),
        ("169.254.170.2", 80, True),
        ("169.254.170.23", 80, True),
        ("169.254.1.1", 80, False),
        ("metadata.example", 80, False),
        ("127.0.0.1", 4001, True),
        ("127.0.0.1", 4002, False),
        ("::1", 4003, True),
        ("identity.example", 443, True),
        ("identity.example", 80, False),
        ("gce.example", 80, True),
    ],
)
def test_metadata_services_are_reached_directly(host: str, port: int, *, direct: bool) -> None:
    """Neither the well-known metadata services nor those that variables name are asked through a proxy."""
    environ = {
        "ALL_PROXY": "http://proxy:1",
        "AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://127.0.0.1:4001/credentials",
        "AWS_EC2_METADATA_SERVICE_ENDPOINT": "http://[::1]:4003",
        "IDENTITY_ENDPOINT": "https://Identity.example/msi/token?x=1",
        "GCE_METADATA_HOST": "gce.example",
        "MSI_ENDPOINT": "no url: at all",
    }
    assert (proxy_for(environ, "http", host, port) == "") == direct


def test_macos_settings_count_where_the_environment_is_silent(monkeypatch: pytest.MonkeyPatch) -> None:
    """On macOS the system's proxies and exceptions are used; a variable takes their place."""
    found = {"https": "http://system:8080", "socks": "http://system:1080"}
    settings = {"exclude_simple": True, "exceptions": ["*.local", "169.254/16", None]}
    monkeypatch.setattr(urllib.request, "getproxies_macosx_sysconf", lambda: found, raising=False)
    monkeypatch.setattr(urllib.request, "_get_proxy_settings", lambda: settings, raising=False)
    assert ProxyRules.from_system({}).proxy_for("https", "service.example", 443) is None or sys.platform == "darwin"
    monkeypatch.setattr(sys, "platform", "darwin")
    rules = ProxyRules.from_system({})
    assert str(rules.proxy_for("https", "service.example", 443)) == "http://system:8080 (the system's https proxy)"
    for host in ("printer.local", "169.254.1.1", "intranet"):
        assert rules.proxy_for("https", host, 443) is None
    assert rules.proxy_for("https", "::1", 443) is not None
    assert rules.proxy_for("http", "service.example", 80) is None
    environ = {"ALL_PROXY": "http://mine:1"}
    assert str(ProxyRules.from_system(environ).proxy_for("https", "intranet", 443)) == "http://mine:1 (ALL_PROXY)"


@given(st.text(max_size=60), st.sampled_from(["", "http://", "https://", "socks5://", "me:pw@", "http://a:b@["]))
def test_any_value_is_a_proxy_or_an_error(text: str, begin: str) -> None:
    """Whatever a variable holds, the result is a proxy with one host and port, or a ConfigurationError."""
    try:
        url = proxy_for({"HTTPS_PROXY": begin + text})
    except ConfigurationError:
        return
    assert url == "" or parsed(url).url == url


@given(
    st.sampled_from(["http", "https"]),
    st.from_regex(r"[a-z0-9-]{1,20}(\.[a-z0-9-]{1,20}){0,3}", fullmatch=True) | st.ip_addresses().map(str),
    st.integers(1, 65535),
    st.text(min_size=1, max_size=20).filter(lambda text: ":" not in text),
    st.text(max_size=20),
)
def test_a_written_proxy_is_read_again(scheme: str, host: str, port: int, username: str, password: str) -> None:
    """Every host, port, user and password that can be written as a URL is read as it was meant."""
    quoted = [quote(text, safe="", errors="surrogatepass") for text in (username, password)]
    location = f"[{host}]" if ":" in host else host
    proxy = parsed(f"{scheme}://{quoted[0]}:{quoted[1]}@{location}:{port}")
    assert (proxy.scheme, proxy.host, proxy.port) == (scheme, host, port)
    assert (proxy.username, proxy.password) == (username, password)


@given(st.text(max_size=80), st.text(min_size=1, max_size=40), st.integers(1, 65535))
def test_any_no_proxy_and_host_have_an_answer(entries: str, host: str, port: int) -> None:
    """No entry of NO_PROXY and no host makes the rules fail."""
    assert proxy_for({"ALL_PROXY": "http://proxy:1", "NO_PROXY": entries}, host=host, port=port) in (
        "",
        "http://proxy:1",
    )
