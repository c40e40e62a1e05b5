"""The Hugging Face Hub: looks at a repository, and sends a plan to it in one commit.

What was sent before a break is not sent again: the hub keeps large files by their hash. Nothing
is to be seen in the repository before all of it has arrived.
"""

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi, get_token
from huggingface_hub.errors import (
    HfHubHTTPError,
    HTTPError,
    LocalTokenNotFoundError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from huggingface_hub.hf_api import RepoFile
from huggingface_hub.utils import disable_progress_bars

from evoforge.errors import ConfigError, HubError
from evoforge.hub.files import File
from evoforge.hub.plan import Plan, Remote
from evoforge.secrets import clean

MAIN = "main"
# Seconds until a hub that says nothing counts as not there.
PATIENCE = 60.0
AGAIN = "give the same command again; what has arrived is not sent again"
# What to do about each answer of the hub; {repo} is filled in.
ANSWERS = {
    400: "the hub does not take it (400): {said}",
    401: "the hub does not know who you are (401): set HF_TOKEN to a token that may write, or log "
    "in with `hf auth login`",
    402: "the hub wants payment for {repo} (402): see its storage limits",
    403: "you may not write to {repo} (403): take a token that may write there, or another --to",
    404: "there is no {repo} on the hub, or you may not see it (404): check --to, --revision and "
    "your token",
    409: "{repo} was changed meanwhile (409): look what is there with --dry-run, then " + AGAIN,
    412: "{repo} was changed meanwhile (412): look what is there with --dry-run, then " + AGAIN,
    413: "a file is larger than the hub takes (413): see its limits; nothing was published",
    429: "the hub asks to wait (429): in some minutes " + AGAIN,
}
LATER = "the hub has trouble ({code}): later " + AGAIN


@dataclass(frozen=True)
class Found:
    """What is in a repository.

    Args:
        private: whether others cannot see it.
        commit: of the branch, None if there is no such branch yet.
        files: of the branch, or of the main one where there is no such branch yet.
    """

    private: bool
    commit: str | None
    files: tuple[Remote, ...]


class Hub:
    """One repository of the hub, and one branch of it.

    Args:
        repo: `user/name`.
        revision: the branch.
        api: of huggingface_hub, which knows the address and the token.

    Raises:
        ConfigError: the name cannot be one of a repository.
    """

    def __init__(self, repo: str, revision: str = MAIN, *, api: HfApi) -> None:
        user, _, name = repo.partition("/")
        if not (_plain(user) and _plain(name)):
            raise ConfigError(
                f"a repository of the hub is user/name, got {repo!r}; set --to or push_to_hub"
            )
        if not all(map(_plain, revision.split("/"))):
            raise ConfigError(f"--revision must be the name of a branch, got {revision!r}")
        self.repo = repo
        self.revision = revision
        self._api = api
        for name in ("httpx", "httpx2"):  # which tell of every request
            logging.getLogger(name).setLevel(logging.WARNING)
        if not sys.stderr.isatty():
            disable_progress_bars()

    def look(self) -> Found | None:
        """Return what is there; None if there is no such repository, or none that you may see.

        Raises:
            HubError: the hub cannot be asked.
        """
        with self._sentences():
            try:
                info = self._api.repo_info(self.repo, timeout=PATIENCE)
            except RepositoryNotFoundError as error:
                if error.response.status_code == 401 and _knows(self._api):
                    raise
                return None
            try:
                commit = self._api.repo_info(self.repo, revision=self.revision).sha
            except RevisionNotFoundError:
                commit = None
            revision = MAIN if commit is None else self.revision
            tree = self._api.list_repo_tree(self.repo, recursive=True, revision=revision)
            found = tuple(_remote(each) for each in tree if isinstance(each, RepoFile))
        return Found(bool(info.private), commit, found)

    def prepare(self, *, private: bool) -> Found:
        """Make the repository and the branch where they are not there; return what is there.

        Raises:
            HubError: the hub refuses, or cannot be asked.
        """
        with self._sentences():
            self._api.create_repo(self.repo, private=private, exist_ok=True)
            if self.revision != MAIN:
                self._api.create_branch(self.repo, branch=self.revision, exist_ok=True)
        found = self.look()
        if found is None:
            raise HubError(ANSWERS[404].format(repo=self.repo))
        return found

    def send(self, plan: Plan, message: str, *, parent: str | None) -> None:
        """Send what is not there yet, in one commit.

        Args:
            plan: what to do.
            message: of the commit.
            parent: the commit that the plan was made for.

        Raises:
            HubError: the hub refuses, was changed meanwhile, or cannot be asked.
        """
        operations = [
            *(CommitOperationAdd(file.name, _content(file)) for file in plan.to_send),
            *(CommitOperationDelete(each.name) for each in plan.remove),
        ]
        with self._sentences():
            self._api.create_commit(
                self.repo,
                operations,
                commit_message=message,
                revision=self.revision,
                parent_commit=parent,
            )

    @property
    def url(self) -> str:
        """Where the branch is to be seen."""
        url = f"{self._api.endpoint}/{self.repo}"
        return url if self.revision == MAIN else f"{url}/tree/{self.revision}"

    @contextmanager
    def _sentences(self) -> Iterator[None]:
        """Say what went wrong, and what to do, in one sentence without a token in it."""
        try:
            yield
        except HfHubHTTPError as error:
            raise HubError(self._answer(error)) from error
        except LocalTokenNotFoundError as error:
            raise HubError(ANSWERS[401]) from error
        except OfflineModeIsEnabled as error:
            raise HubError("HF_HUB_OFFLINE is set, so the hub is not asked; unset it") from error
        except ValueError as error:
            reason = clean(" ".join(str(error).split())[:300])
            raise HubError(f"the hub does not take it: {reason}") from error
        except (HTTPError, OSError, RuntimeError) as error:
            # Of the network, or of the library for large files.
            cause = error.__cause__ or error
            if isinstance(cause, HfHubHTTPError):
                raise HubError(self._answer(cause)) from error
            raise HubError(
                f"{self._api.endpoint} cannot be reached, or broke off ({type(cause).__name__}): "
                f"check the network and {AGAIN}"
            ) from error

    def _answer(self, error: HfHubHTTPError) -> str:
        code = error.response.status_code
        said = clean(" ".join((error.server_message or "no reason").split())[:300])
        return ANSWERS.get(code, LATER).format(repo=self.repo, code=code, said=said)


def _plain(name: str) -> bool:
    """Whether a name is made of letters, digits and `-_.`, and leads nowhere else."""
    left = name.replace("-", "").replace("_", "").replace(".", "")
    return left.isascii() and left.isalnum() and not name.startswith((".", "-")) and len(name) < 97


def _knows(api: HfApi) -> bool:
    """Whether there is a token, which the hub then refused."""
    return bool(api.token or get_token())


def _content(file: File) -> bytes | str:
    return str(file.source) if isinstance(file.source, Path) else file.source


def _remote(found: RepoFile) -> Remote:
    return Remote(found.path, found.size, found.blob_id, found.lfs and found.lfs.sha256)
