"""Evolve a merge: `python run.py --help` says how. The work is done in evoforge/session.py."""

import errno
import json
import logging
import os
import shlex
import shutil
import signal
import sqlite3
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from evoforge import config, startup, stopping
from evoforge.errors import ConfigError, EvoforgeError, MergeError, SearchError
from evoforge.secrets import clean
from evoforge.stopping import Terminated
from evoforge.visible import one_line

# Starting the process counts as the first run's; each further run of a sweep starts by itself, and
# so does a run in another process, which gets a copy of this.
STARTS = {os.getpid(): time.monotonic()}
CONF = Path(__file__).parent / "conf"
# Packages whose errors say that a run of a sweep was lost with its process.
LAUNCHERS = ("joblib", "ray", "submitit")
LOST = (
    "a run of the sweep was killed, or its process could not start; give the same command again: "
    "it leaves alone what is finished and goes on with the rest"
)
# What the system says where nothing more can be written.
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
log = logging.getLogger("evoforge")


@hydra.main(version_base="1.3", config_path=str(CONF), config_name="config")
def job(cfg: DictConfig) -> None:
    """Do one run in the folder that Hydra made for it."""
    hydra_config = HydraConfig.get()
    folder = Path(hydra_config.runtime.output_dir)
    several = hydra_config.mode == RunMode.MULTIRUN
    started = STARTS.pop(os.getpid(), None) or time.monotonic()
    try:
        content = config.resolved(cfg)
        _check_resume(content["resume"], folder, several)
        if several:
            _check_inside(folder, Path(hydra_config.sweep.dir))
            _share_terminal(content, hydra_config.launcher, folder)
        from evoforge import session  # after --help and --cfg, which need no torch

        if content["preflight"]:
            session.outlook(content, folder)
            _leave_nothing(folder)
            return
        may_exist = several or bool(content["resume"])
        overrides = [*_folders(hydra_config), *hydra_config.overrides.task]
        session.run(content, folder, overrides, started=started, may_exist=may_exist)
    except (EvoforgeError, sqlite3.DatabaseError) as error:
        _tidy(folder)
        if not several:
            _fail(_sentence(error, folder), _code(error))
        print(f"error: {folder.name}: {_sentence(error, folder)}", file=sys.stderr)
        raise
    except KeyboardInterrupt as stop:
        if not _tidy(folder):
            print(f"stopped; go on with: {_again(hydra_config, folder, several)}", file=sys.stderr)
        sys.exit(143 if isinstance(stop, Terminated) else 130)
    print(folder)


def main() -> None:
    """Compose and run, turning every mistake of the user into one sentence."""
    os.environ.setdefault("HYDRA_FULL_ERROR", "1")  # else Hydra prints tracebacks and exits itself
    logging.raiseExceptions = False  # a log that cannot be written is no reason for tracebacks
    stopping.listen()
    try:
        sys.argv[1:] = _recall(sys.argv[1:])
        startup.check(sys.argv[1:], CONF, "config")
        try:
            job()
        finally:
            _compare(sys.exc_info()[0])
    except (EvoforgeError, sqlite3.DatabaseError) as error:
        _fail(_sentence(error, None), _code(error))
    except (HydraException, OmegaConfBaseException) as error:
        _fail(config.sentence(error, _options()), 2)
    except ValueError as error:
        if "Config group override" not in str(error):
            raise
        _fail("a group cannot be set to null; choose one of its options, see --help", 2)
    except RuntimeError as error:
        if type(error).__module__.partition(".")[0] not in LAUNCHERS:
            raise
        log.debug("a launcher failed", exc_info=error)
        _fail(LOST, 1)
    except BrokenPipeError:
        os.close(sys.stdout.fileno())  # whoever read our output has seen enough
    except OSError as error:
        if error.errno in FULL:
            _fail(f"cannot write: {error.strerror}; free the disk and go on with resume=FOLDER", 2)
        if error.filename is None:
            raise
        _fail(f"cannot use {error.filename}: {error.strerror}; set hydra.run.dir", 2)
    except KeyboardInterrupt as stop:
        if isinstance(stop, Terminated) and config.Sweep.detached:
            _stop_runs()
        sys.exit(143 if isinstance(stop, Terminated) else 130)


def _stop_runs() -> None:
    """Tell runs in processes of their own to stop, as Ctrl-C on a terminal tells them too."""
    import psutil

    for child in psutil.Process().children(recursive=True):
        with suppress(psutil.NoSuchProcess):
            child.send_signal(signal.SIGINT)


def _check_resume(resume: str | None, folder: Path, several: bool) -> None:
    if resume and (several or folder.resolve() != Path(resume).resolve()):
        raise ConfigError(
            "resume goes on with one run in its own folder; leave out hydra.run.dir and sweeps"
        )


def _check_inside(folder: Path, sweep: Path) -> None:
    if not folder.resolve().is_relative_to(sweep.resolve()):
        raise ConfigError(
            f"the run folder {folder} is not inside {sweep}; set hydra.sweep.subdir to a name"
        )


def _share_terminal(content: Mapping[str, Any], launcher: DictConfig, folder: Path) -> None:
    """Let a run that others run beside write plain lines that say whose they are."""
    console = (content.get("tracker") or {}).get("console")
    if console is not None and not launcher._target_.endswith("BasicLauncher"):
        console |= {"live": False, "label": folder.name}


def _tidy(folder: Path) -> bool:
    """Remove what a run that did not begin left behind; return whether it did not."""
    if (folder / "journal.sqlite").exists():
        return False
    if {path.name for path in folder.iterdir()} <= {"run.log"}:
        for handler in tuple(logging.root.handlers):
            if isinstance(handler, logging.FileHandler):
                # Whoever logs after the run would look for its folder.
                logging.root.removeHandler(handler)
                handler.close()
        shutil.rmtree(folder)
    return True


def _leave_nothing(folder: Path) -> None:
    """Remove what Hydra made for a run that was only to be told of: its folder, and the day's."""
    if _tidy(folder):
        with suppress(OSError):  # there are other runs in it
            folder.parent.rmdir()


def _again(hydra_config: DictConfig, folder: Path, several: bool) -> str:
    """Return the command that goes on with a run that was stopped."""
    if several:
        return f"the same command and hydra.sweep.dir={shlex.quote(hydra_config.sweep.dir)}"
    return f"python run.py {shlex.quote(f'resume={folder}')}"


def _sentence(error: Exception, folder: Path | None) -> str:
    if isinstance(error, EvoforgeError):
        return str(error)
    where = "the journal" if folder is None else f"{folder}/journal.sqlite"
    return f"{where} is damaged ({error}); restore it, or start a new run in another folder"


def _code(error: Exception) -> int:
    return 1 if isinstance(error, SearchError | MergeError) else 2


def _compare(error: type[BaseException] | None) -> None:
    """Show the runs of a sweep side by side, also if some of them failed."""
    stopped = error is not None and issubclass(error, SystemExit | KeyboardInterrupt)
    if config.Sweep.folder is None or stopped:
        return
    from evoforge.report.compare import compare, show
    from evoforge.terminal import Terminal

    try:
        show(compare([config.Sweep.folder], config.Sweep.folder), Terminal())
    except EvoforgeError as problem:
        # Nothing to compare; what stopped the runs is the news.
        log.error("%s", problem)
    print(config.Sweep.folder)


def _recall(arguments: list[str]) -> list[str]:
    """Put the options that a run was started with before those given to resume it."""
    places = [i for i, argument in enumerate(arguments) if argument.startswith("resume=")]
    folder = arguments[places[0]].partition("=")[2].strip("'\"") if places else ""
    if folder in ("", "null"):
        return arguments
    from evoforge.record import Record

    record = Record.open(Path(folder))
    overrides = json.loads(record.meta("overrides"))
    record.close()
    given = {argument.partition("=")[0].lstrip("+~") for argument in arguments}
    kept = [o for o in overrides if not _beneath(o.partition("=")[0].lstrip("+~"), given)]
    # Hydra reads , and = in a value as its own signs unless the value is in quotes.
    quoted = folder.replace("\\", "\\\\").replace("'", "\\'")
    return [*arguments[: places[0]], *kept, f"resume='{quoted}'", *arguments[places[0] + 1 :]]


def _beneath(option: str, given: set[str]) -> bool:
    """Whether an option is given anew, or belongs to a group that is: `executor.workers`."""
    return option in given or option.partition(".")[0] in given


def _folders(hydra_config: DictConfig) -> list[str]:
    """Return the `--config-dir` of the command line, which going on with the run needs too."""
    sources = hydra_config.runtime.config_sources
    found = [source.path for source in sources if source.provider == "command-line"]
    return [f"--config-dir={path}" for path in found]


def _options() -> list[str]:
    """Return the full names of all options of the default configuration."""
    with hydra.initialize_config_dir(str(CONF), version_base="1.3"):
        cfg = hydra.compose("config")
    return [name for name, _ in config.flat(OmegaConf.to_container(cfg, resolve=False))]


def _fail(message: str, code: int) -> NoReturn:
    # Hydra's errors repeat what was typed.
    print(f"error: {one_line(clean(message))}", file=sys.stderr)
    sys.exit(code)


if __name__ == "__main__":
    main()
