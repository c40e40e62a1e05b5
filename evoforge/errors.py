"""The errors a user can meet; each message is one sentence that says what to do.

EvoforgeError
  ConfigError     an option, a source or a folder is not usable: exit code 2
    PoolError     the sources do not fit each other
    JournalError  the run folder is in use, damaged or belongs to another run
  MergeError      one candidate cannot be built: recorded as a failed evaluation; or the winner
                  cannot be exported as it was scored: exit code 1
  SearchError     the search cannot go on: exit code 1
  HubError        the hub refuses a model, or cannot be reached: exit code 1
"""

from evoforge.secrets import clean
from evoforge.visible import one_line


class EvoforgeError(Exception):
    """Anything evoforge raises on purpose.

    What it says is one line without controls and secrets, whatever names and files put into it: it
    goes to terminals, into journals, and to trackers.
    """

    def __str__(self) -> str:
        return one_line(clean(super().__str__()))


class ConfigError(EvoforgeError):
    """An option, a source or a folder that the user named is not usable."""


class PoolError(ConfigError):
    """The sources of a pool do not fit each other."""


class JournalError(ConfigError):
    """The run folder is in use, damaged, or holds another run."""


class MergeError(EvoforgeError):
    """A candidate cannot be built, which the search records, or not exported as it was scored."""


class SearchError(EvoforgeError):
    """The search as a whole cannot go on."""


class HubError(EvoforgeError):
    """The Hugging Face Hub refuses what is published, or cannot be reached."""
