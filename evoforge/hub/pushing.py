"""Publishes a model of a run on the hub: looks, plans, asks, sends, and looks again."""

import logging
import shlex
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from huggingface_hub import HfApi, get_token

from evoforge.errors import ConfigError, EvoforgeError, HubError
from evoforge.hub.checks import checked
from evoforge.hub.client import MAIN, Found, Hub
from evoforge.hub.files import File
from evoforge.hub.plan import Plan, plan
from evoforge.record import WINNER, Record

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Wish:
    """Where a model should go, and how.

    Args:
        to: `user/name`.
        revision: the branch.
        private: whether others shall not see a new repository; None for private, where an existing
            one may be public only if it was asked for.
        licence: what the card should name; None for what it says.
        message: of the commit.
    """

    to: str
    revision: str = MAIN
    private: bool | None = None
    licence: str | None = None
    message: str = "Upload a merge made by evoforge"


@dataclass(frozen=True)
class Publication:
    """A model that is ready to go.

    Args:
        hub: the repository.
        wish: what was asked for.
        files: the checked files.
    """

    hub: Hub
    wish: Wish
    files: tuple[File, ...]

    def look(self) -> tuple[Found | None, Plan]:
        """Return what is in the repository, and what would be done to it; changes nothing.

        Raises:
            ConfigError: it is public, and that was not asked for.
            HubError: the hub cannot be asked.
        """
        found = self.hub.look()
        if found is not None and not found.private and self.wish.private is not False:
            raise ConfigError(
                f"{self.wish.to} exists and everybody can see it; say --public to publish there"
            )
        return found, plan(self.files, found.files if found else ())

    def send(self, agree: Callable[[Plan], bool]) -> str:
        """Publish; return where.

        Args:
            agree: asked before content of the repository is changed, or mixed with ours.

        Raises:
            ConfigError: nobody agreed, or the repository is public and that was not asked for.
            HubError: the hub refuses, cannot be asked, or does not hold what was sent.
        """
        found, doing = self.look()
        if doing.asks and not agree(doing):
            raise ConfigError(refusal(self.wish.to, doing))
        if found is not None and doing.idle and found.commit is not None:
            return self.hub.url
        before = self.hub.prepare(private=self.wish.private is not False)
        doing = plan(self.files, before.files)
        if doing.asks and found is None:
            raise ConfigError(refusal(self.wish.to, doing))
        if not doing.idle:
            self.hub.send(doing, self.wish.message, parent=before.commit)
        after = self.hub.look()
        if after is None or not plan(self.files, after.files).idle:
            raise HubError(
                f"{self.wish.to} does not hold what was sent; look at it, and send again"
            )
        return self.hub.url


def publication(
    record: Record, recipe: str, folder: Path, wish: Wish, api: HfApi | None = None
) -> Publication:
    """Return a checked model, ready to go; see `checked` and `Hub` for what is refused."""
    hub = Hub(wish.to, wish.revision, api=api or HfApi(library_name="evoforge"))
    return Publication(hub, wish, checked(record, recipe, folder, licence=wish.licence))


def check_target(to: str) -> None:
    """Say before a run what would keep its model from being published at the end.

    Raises:
        ConfigError: the name cannot be one of a repository.
    """
    Hub(str(to), api=HfApi())
    if not get_token():
        log.warning(
            "push_to_hub needs a token that may write: set HF_TOKEN or log in with `hf auth login` "
            "before the run ends"
        )


def after_run(record: Record, to: str) -> None:
    """Publish the winner of a finished run, whose evidence stands whatever becomes of that."""
    recipe = record.evaluation(record.roles()[WINNER, "test"]).recipe
    try:
        ready = publication(record, recipe, record.folder / "model", Wish(to))
        log.info("published: %s", ready.send(lambda _: False))
    except EvoforgeError as error:
        again = f"python -m evoforge.publish {shlex.quote(str(record.folder))} --to {to}"
        log.error("the model was not published: %s. Publish it with: %s", error, again)


def refusal(repo: str, doing: Plan) -> str:
    """Return the sentence that says whose files are in the way."""
    changed = [name for what, name, _ in doing.lines() if what in ("change", "remove")]
    if not changed:
        names = [name for what, name, _ in doing.lines() if what == "keep"]
        what = f"holds other files ({_some(names)})"
    else:
        what = f"holds other content: {_some(changed)} would change"
    return f"{repo} {what}; look with --dry-run, then say --yes, or take another --to or --revision"


def _some(names: list[str], most: int = 5) -> str:
    rest = len(names) - most
    return ", ".join(names[:most]) + (f" and {rest} more" if rest > 0 else "")
