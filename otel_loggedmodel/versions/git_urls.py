# SPDX-License-Identifier: Apache-2.0
"""Addresses of git remotes, without the credentials in them."""

import re


def strip_credentials(url: str) -> str:
    """Take the credentials out of a git remote's URL. In doubt, more is taken out than is needed.

    From `http(s)` and unknown schemes the whole user part is taken, as it may be a token. From `ssh` and
    `user@host:path` only a password is taken, and the user's name stays. Query, fragment and control characters are
    taken out. Local paths stay as they are. The forms are those of https://git-scm.com/docs/git-clone#_git_urls.
    """
    url = re.sub(r"[\x00-\x1f\x7f]", "", url).strip()
    before, separator, rest = url.partition("://")
    if not separator:
        local = re.match(r"[a-z]:[\\/]|[/.~\\]", url, re.IGNORECASE)
        return url if local else _strip_scp(url)
    authority = re.split("[/?#]", rest, maxsplit=1)[0]
    end = authority.rfind("@") + 1
    if not end and not re.fullmatch(r"(\[[^]]*\]|[^:]*)(:\d*)?", authority):
        end = rest.rfind("@") + 1  # no host: the "/", "?" or "#" belongs to a password that should have been escaped
    user = ""
    if before.lower().endswith(("ssh", "ssh+git", "sftp")) and end:
        user = re.split(":|%3a", rest[: end - 1], maxsplit=1, flags=re.IGNORECASE)[0] + "@"
    rest = re.split("[?#]", rest[end:], maxsplit=1)[0].rstrip()
    if "://" in rest:  # behind a proxy, https://proxy/https://user:token@host/path
        rest = strip_credentials(rest)
    return f"{_strip_scp(before)}://{user}{rest}"


def _strip_scp(url: str) -> str:
    without_password = re.sub(r"^([^@:/\\\[]+):[^/]*@", r"\1@", url)
    return re.split("[?#]", without_password, maxsplit=1)[0].rstrip()
