# SPDX-License-Identifier: Apache-2.0
"""Says what the gate found in one comment on a pull request, which later runs update; a step of `action.yml`.

It asks nothing but GitHub's REST API, with what Python itself brings. Where the token is not allowed to, as on pull
requests from forks, that is a warning and no failure: whether the build goes on is the gate's to say.

The picture is kept on a branch with nothing but pictures, as comments show only images that have an address.
Source: https://docs.github.com/rest
"""

import base64
import json
import os
import sys
import urllib.error
import urllib.request
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from pathlib import Path
from typing import Any

_PAGE = 100
_SECONDS = 30
_NOT_FOUND = 404
_NOT_ALLOWED = (401, 403, 404)


def main() -> int:
    """Write or update the comment; 0, also where the token may not."""
    report = Path(os.environ["REPORT"])
    repository = Repository(os.environ["GITHUB_API_URL"], os.environ["GITHUB_REPOSITORY"], os.environ["GITHUB_TOKEN"])
    number, key = os.environ["PULL_REQUEST"], os.environ["KEY"]
    picture = ""
    if branch := os.environ.get("PICTURE_BRANCH"):
        try:
            picture = shown(report / "comparison.svg", repository, branch, f"pull-{number}/{key}.svg")
        except urllib.error.HTTPError as error:
            warn(f"no picture, {said(error)}: it needs the permission contents, write")
    mark = f"<!-- otel-loggedmodel: {key} -->"
    body = "\n\n".join(filter(None, [mark, picture, (report / "summary.md").read_text(encoding="utf-8"), origin()]))
    try:
        url = repository.comment(number, mark, body)
    except urllib.error.HTTPError as error:
        if error.code not in _NOT_ALLOWED:
            raise
        warn(f"no comment, {said(error)}: it needs the permission pull-requests, write")
        return 0
    with Path(os.environ["GITHUB_OUTPUT"]).open("a", encoding="utf-8") as outputs:
        outputs.write(f"comment-url={url}\n")
    return 0


class Repository:
    """A repository on GitHub.

    Args:
        api: Address of the API.
        name: `owner/name`.
        token: What may write.
    """

    def __init__(self, api: str, name: str, token: str) -> None:
        self._address = f"{api}/repos/{name}"
        self._token = token

    def comment(self, number: str, mark: str, body: str) -> str:
        """Put a text in the place of the comment that begins with a mark, or after the others; its address."""
        for known in self._comments(number):
            if str(known["body"]).startswith(mark):
                return str(self.ask("PATCH", f"/issues/comments/{known['id']}", {"body": body})["html_url"])
        return str(self.ask("POST", f"/issues/{number}/comments", {"body": body})["html_url"])

    def keep(self, branch: str, path: str, content: bytes) -> str:
        """Put a file on a branch, which is made where there is none; the commit."""
        parent = None
        try:
            parent = self.ask("GET", f"/git/ref/heads/{branch}")["object"]["sha"]
        except urllib.error.HTTPError as error:
            if error.code != _NOT_FOUND:
                raise
        blob = self.ask("POST", "/git/blobs", {"content": base64.b64encode(content).decode(), "encoding": "base64"})
        entry = {"path": path, "mode": "100644", "type": "blob", "sha": blob["sha"]}
        base = {} if parent is None else {"base_tree": self.ask("GET", f"/git/commits/{parent}")["tree"]["sha"]}
        tree = self.ask("POST", "/git/trees", {**base, "tree": [entry]})
        parents = [] if parent is None else [parent]
        made = {"message": f"{path} of otel-loggedmodel", "tree": tree["sha"], "parents": parents}
        commit = str(self.ask("POST", "/git/commits", made)["sha"])
        if parent is None:
            self.ask("POST", "/git/refs", {"ref": f"refs/heads/{branch}", "sha": commit})
        else:
            self.ask("PATCH", f"/git/refs/heads/{branch}", {"sha": commit})
        return commit

    def ask(self, method: str, path: str, document: object = None) -> Any:
        """What the API answers.

        Raises:
            urllib.error.HTTPError: It refuses.
        """
        request = urllib.request.Request(
            self._address + path,
            None if document is None else json.dumps(document).encode(),
            {
                "Accept": "application/vnd.github+json",
                "Authorization": f"Bearer {self._token}",
                "Content-Type": "application/json",
                "X-GitHub-Api-Version": "2022-11-28",
            },
            method=method,
        )
        with urllib.request.urlopen(request, timeout=_SECONDS) as answer:
            return json.load(answer)

    def _comments(self, number: str) -> Iterator[Any]:
        page = 1
        while found := self.ask("GET", f"/issues/{number}/comments?per_page={_PAGE}&page={page}"):
            yield from found
            if len(found) < _PAGE:
                return
            page += 1


def shown(picture: Path, repository: Repository, branch: str, path: str) -> str:
    """A picture in Markdown, once it is kept; with what it shows in words."""
    if not picture.exists():
        return ""
    content = picture.read_bytes()
    title = ET.fromstring(content).findtext("{http://www.w3.org/2000/svg}title") or "comparison"
    commit = repository.keep(branch, path, content)
    server, name = os.environ["GITHUB_SERVER_URL"], os.environ["GITHUB_REPOSITORY"]
    words = "".join(character if character.isalnum() else f"&#{ord(character)};" for character in title)
    return f"![{words}]({server}/{name}/blob/{commit}/{path}?raw=true)"


def origin() -> str:
    """Where this run of the build is."""
    server, name, run = (os.environ.get(f"GITHUB_{key}", "") for key in ("SERVER_URL", "REPOSITORY", "RUN_ID"))
    commit = os.environ.get("GITHUB_SHA", "")[:8]
    return f"<sub>Of commit {commit}, [this run]({server}/{name}/actions/runs/{run}).</sub>" if run else ""


def said(error: urllib.error.HTTPError) -> str:
    """An error of the API in words."""
    try:
        message = str(json.load(error)["message"])
    except (ValueError, KeyError, TypeError):
        message = str(error.reason)
    return f"GitHub answers {error.code} ({message})"


def warn(text: str) -> None:
    """Say something that fails nothing."""
    print(f"::warning title=otel-loggedmodel::{' '.join(text.split()).replace('%', '%25')}")


if __name__ == "__main__":
    sys.exit(main())
