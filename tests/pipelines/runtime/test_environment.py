"""What a process sets for its libraries: the loopback without a proxy, caches in the state root."""

import os

import pytest

from pipelines.runtime.runner import settle_environment


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, "localhost,127.0.0.1,::1"),
        ({"no_proxy": "company.example, localhost"}, "company.example, localhost,127.0.0.1,::1"),
        ({"NO_PROXY": "127.0.0.1"}, "127.0.0.1,localhost,::1"),
    ],
)
def test_the_loopback_has_no_proxy(tmp_path, monkeypatch, given, expected):
    from urllib.request import getproxies, proxy_bypass

    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    for name in ("NUMBA_CACHE_DIR", "MPLCONFIGDIR"):
        monkeypatch.setenv(name, "chosen")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    for _ in range(2):  # a child does it again
        settle_environment(tmp_path)
    assert os.environ["no_proxy"] == os.environ["NO_PROXY"] == expected
    assert getproxies()["http"] == "http://127.0.0.1:9"
    assert proxy_bypass("127.0.0.1:5000")
    assert not proxy_bypass("elsewhere.example")
    assert os.environ["MPLCONFIGDIR"] == "chosen"


def test_caches_are_in_the_state_root(tmp_path, monkeypatch):
    for name in ("NUMBA_CACHE_DIR", "MPLCONFIGDIR", "no_proxy", "NO_PROXY"):
        monkeypatch.setenv(name, "")  # restored after the test
        monkeypatch.delenv(name)
    settle_environment(tmp_path)
    assert {os.environ["NUMBA_CACHE_DIR"], os.environ["MPLCONFIGDIR"]} == {
        str(tmp_path / "numba-cache"),
        str(tmp_path / "matplotlib"),
    }
