# SPDX-License-Identifier: Apache-2.0
"""Credentials in the addresses of remotes."""

from __future__ import annotations

import re
from urllib.parse import quote

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from otel_loggedmodel.versions.git_urls import strip_credentials


@pytest.mark.parametrize(
    ("url", "stripped"),
    [
        ("https://user:token@host.example/x", "https://host.example/x"),
        ("https://token@host.example/x", "https://host.example/x"),
        ("https://user:@host.example/x", "https://host.example/x"),
        ("https://:token@host.example/x", "https://host.example/x"),
        ("https://u:p@ss@host.example/x", "https://host.example/x"),
        ("https://u:p%40ss%3a@host.example/x", "https://host.example/x"),
        ("https://u:p/ss@host.example/x", "https://host.example/x"),
        ("https://u:p?ss@host.example/x", "https://host.example/x"),
        ("https://u:p#ss@host.example/x", "https://host.example/x"),
        ("https://u:p://ss@host.example/x", "https://host.example/x"),
        ("https://u:p\nss@host.example/x\n", "https://host.example/x"),
        ("HTTPS://U:P@Host.Example/X", "HTTPS://Host.Example/X"),
        ("git+https://u:p@host.example/x", "git+https://host.example/x"),
        ("ftp://u:p@host.example/x", "ftp://host.example/x"),
        ("https://u:p@host.example:8443/x", "https://host.example:8443/x"),
        ("https://u:p@[2001:db8::1]:8443/x", "https://[2001:db8::1]:8443/x"),
        ("https://[2001:db8::1]/@scope/x", "https://[2001:db8::1]/@scope/x"),
        ("https://host.example/@scope/x", "https://host.example/@scope/x"),
        ("https://host.example:8443/@scope/x", "https://host.example:8443/@scope/x"),
        ("https://host.example/x?access_token=secret", "https://host.example/x"),
        ("https://host.example/x?a=b&private_token=secret#secret", "https://host.example/x"),
        ("https://host.example/x#access_token=secret", "https://host.example/x"),
        ("https://host.example", "https://host.example"),
        ("https://proxy.example/https://u:p@host.example/x", "https://proxy.example/https://host.example/x"),
        ("https://a:b@one.example/x\nhttps://c:d@two.example/x", "https://one.example/xhttps://two.example/x"),
        ("ssh://git@host.example/x", "ssh://git@host.example/x"),
        ("ssh://git:secret@host.example:22/x", "ssh://git@host.example:22/x"),
        ("ssh://git%3Asecret@host.example/x", "ssh://git@host.example/x"),
        ("SSH://git:secret@host.example/x", "SSH://git@host.example/x"),
        ("git+ssh://git:p@ss@host.example/x", "git+ssh://git@host.example/x"),
        ("ssh://host.example/x", "ssh://host.example/x"),
        ("git@github.com:org/repo.git", "git@github.com:org/repo.git"),
        ("github.com:org/repo.git", "github.com:org/repo.git"),
        ("git@[2001:db8::1]:org/repo.git", "git@[2001:db8::1]:org/repo.git"),
        ("[2001:db8::1]:org@repo.git", "[2001:db8::1]:org@repo.git"),
        ("git:secret@github.com:org/repo.git", "git@github.com:org/repo.git"),
        ("git:s@cret@github.com:org/repo.git", "git@github.com:org/repo.git"),
        ("git@github.com:org/repo.git?private_token=secret", "git@github.com:org/repo.git"),
        ("codecommit::us-east-1://profile@repo", "codecommit::us-east-1://repo"),
        ("/srv/git/u:p@x#1.git", "/srv/git/u:p@x#1.git"),
        ("../sibling.git", "../sibling.git"),
        ("~/x.git", "~/x.git"),
        ("file:///srv/git/x@y.git", "file:///srv/git/x@y.git"),
        (r"C:\repo@x", r"C:\repo@x"),
        ("C:/repo@x", "C:/repo@x"),
        (r"\\server\share\repo", r"\\server\share\repo"),
        ("", ""),
    ],
)
def test_credentials_are_stripped(url: str, stripped: str) -> None:
    assert strip_credentials(url) == stripped
    assert strip_credentials(stripped) == stripped


SECRET = "S3cr3t"
# Around the secret: anything, so that it starts, ends and breaks off in unexpected places.
around = st.text(st.characters(codec="utf-8"), max_size=8)
escaped = st.builds(lambda before, after: quote(f"{before}{SECRET}{after}", safe=""), around, around)
# As people paste them: "@" and ":" unescaped. A "/", "?" or "#" is where the host ends, for git too.
pasted = st.builds(lambda before, after: re.sub("[/?#]", "", f"{before}{SECRET}{after}"), around, around)
passwords = escaped | pasted
names = st.from_regex(r"[A-Za-z0-9._%-]{0,8}", fullmatch=True)
hosts = st.sampled_from(["host.example", "host.example:8443", "[2001:db8::1]", "[2001:db8::1]:22", "localhost", ""])
paths = st.from_regex(r"(/[a-z@:.~-]{0,6}){0,3}", fullmatch=True)
schemes = st.sampled_from(
    ["https", "HTTP", "git+https", "ssh", "SSH", "git+ssh", "sftp", "ftp", "file", "gcrypt::https"]
)


@given(schemes, names, passwords, hosts, paths)
@example("https", "", SECRET, "", "")
def test_no_password_survives_in_a_url(scheme: str, user: str, password: str, host: str, path: str) -> None:
    stripped = strip_credentials(f"{scheme}://{user}:{password}@{host}{path}")
    assert SECRET not in stripped
    assert stripped.rstrip().endswith(f"{host}{path}") or ":" in path


@given(st.sampled_from(["https", "HTTP", "git+https"]), passwords, hosts, paths)
def test_no_token_survives_in_a_url(scheme: str, token: str, host: str, path: str) -> None:
    assert SECRET not in strip_credentials(f"{scheme}://{token}@{host}{path}")


@given(
    st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9._%-]{1,8}", fullmatch=True),
    passwords,
    st.sampled_from(["host.example", "[2001:db8::1]"]),
)
def test_no_password_survives_before_a_host_and_path(user: str, password: str, host: str) -> None:
    assert strip_credentials(f"{user}:{password}@{host}:team/app.git") == f"{user}@{host}:team/app.git"


@given(schemes, hosts, paths, st.sampled_from("?#"), passwords)
def test_no_token_survives_in_a_query(scheme: str, host: str, path: str, mark: str, token: str) -> None:
    assert SECRET not in strip_credentials(f"{scheme}://{host}{path}{mark}private_token={token}")


@given(st.text())
def test_stripping_takes_any_text_and_is_done_once(url: str) -> None:
    stripped = strip_credentials(url)
    assert strip_credentials(stripped) == stripped
