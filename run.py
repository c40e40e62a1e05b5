"""Evolve a merge: `python run.py --help` says how. The work is done in evoforge/session.py."""

import json
import logging
import os
import signal
import sys
import time
from pathlib import Path
from types import FrameType
from typing import NoReturn

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from evoforge import config
from evoforge.errors import EvoforgeError, SearchError

STARTED = time.time()
CONF = Path(__file__).parent / "conf"
log = logging.getLogger("evoforge")

OmegaConf.register_new_resolver("run_folder", lambda resume, fresh: resume or fresh)


class Terminated(KeyboardInterrupt):
    """SIGTERM: stop as Ctrl-C does."""


@hydra.main(version_base="1.3", config_path=str(CONF), config_name="config")
def job(cfg: DictConfig) -> None:
    """Do one run in the folder that Hydra made for it."""
    hydra_config = HydraConfig.get()
    folder = Path(hydra_config.runtime.output_dir)
    several = hydra_config.mode == RunMode.MULTIRUN
    try:
        content = config.resolved(cfg)
        from evoforge import session  # after --help and --cfg, which need no torch

        may_exist = several or bool(content["resume"])
        overrides = [*_folders(hydra_config), *hydra_config.overrides.task]
        session.run(content, folder, overrides, started=STARTED, may_exist=may_exist)
    except EvoforgeError as error:
        if not any(folder.iterdir()):
            folder.rmdir()
        if not several:
            _fail(str(error), 1 if isinstance(error, SearchError) else 2)
        log.error("%s: %s", folder.name, error)
        raise
    except KeyboardInterrupt as stop:
        if any(folder.iterdir()):
            again = "the same command" if several else f"python run.py resume={folder}"
            log.warning("stopped; go on with: %s", again)
        sys.exit(143 if isinstance(stop, Terminated) else 130)
    print(folder)


def main() -> None:
    """Compose and run, turning every mistake of the user into one sentence."""
    os.environ.setdefault("HYDRA_FULL_ERROR", "1")  # else Hydra prints tracebacks and exits itself
    signal.signal(signal.SIGTERM, _terminate)
    try:
        sys.argv[1:] = _recall(sys.argv[1:])
        try:
            job()
        finally:
            _compare(sys.exc_info()[0])
    except EvoforgeError as error:
        _fail(str(error), 1 if isinstance(error, SearchError) else 2)
    except (HydraException, OmegaConfBaseException) as error:
        _fail(config.sentence(error, _options()), 2)
    except ValueError as error:
        if "Config group override" not in str(error):
            raise
        _fail("a group cannot be set to null; choose one of its options, see --help", 2)
    except BrokenPipeError:
        os.close(sys.stdout.fileno())  # whoever read our output has seen enough
    except OSError as error:
        _fail(f"cannot write {error.filename}: {error.strerror}; set hydra.run.dir", 2)


def _compare(error: type[BaseException] | None) -> None:
    """Show the runs of a sweep side by side, also if some of them failed."""
    if config.Sweep.folder is None or error is SystemExit:
        return
    from rich.console import Console

    from evoforge.report.compare import compare, table

    try:
        Console().print(table(compare([config.Sweep.folder], config.Sweep.folder)))
    except EvoforgeError as problem:
        # Nothing to compare; what stopped the runs is the news.
        log.error("%s", problem)
    print(config.Sweep.folder)


def _recall(arguments: list[str]) -> list[str]:
    """Put the options that a run was started with before those given to resume it."""
    places = [i for i, argument in enumerate(arguments) if argument.startswith("resume=")]
    folder = arguments[places[0]].partition("=")[2] if places else ""
    if folder in ("", "null"):
        return arguments
    from evoforge.record import Record

    record = Record.open(Path(folder))
    overrides = json.loads(record.meta("overrides"))
    record.close()
    given = {argument.partition("=")[0].lstrip("+~") for argument in arguments}
    kept = [o for o in overrides if o.partition("=")[0].lstrip("+~") not in given]
    return arguments[: places[0]] + kept + arguments[places[0] :]


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


def _terminate(number: int, frame: FrameType | None) -> NoReturn:
    del number, frame
    raise Terminated


def _fail(message: str, code: int) -> NoReturn:
    print(f"error: {message}", file=sys.stderr)
    sys.exit(code)


if __name__ == "__main__":
    main()
