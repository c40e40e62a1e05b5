"""The terminal: a calm live display, or one plain line a generation where there is no terminal.

The console shows what a record says. It never reads the record while it draws, because a thread
draws and the journal belongs to the thread of the search.
"""

import json
import logging
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, get_args

from rich.console import Console as Plain
from rich.console import Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from evoforge.errors import ConfigError
from evoforge.record import Record
from evoforge.terminal import Terminal
from evoforge.tracker.base import Named, News, Progress, Staged, Status, Told, Tracker

BLOCKS = "▁▂▃▄▅▆▇█"
WIDEST = 88  # wider lines are hard to read
POINTS = 24  # of the sparkline
ENDS = get_args(Status)
FRESH = 3  # candidates before the time left is guessed


class Console(Tracker):
    """Shows a run on the terminal.

    Args:
        terminal: where to draw; standard output by default.
        live: whether to draw a live display on a terminal; else, and elsewhere, plain lines.
        width: columns; None for the terminal's own, at most 88.
        frames_per_second: of the live display.
        label: before each plain line, where several runs share a terminal; None for nothing.

    Raises:
        ConfigError: an option is out of its range.
    """

    def __init__(
        self,
        terminal: Plain | None = None,
        *,
        live: bool = True,
        width: int | None = None,
        frames_per_second: float = 2.0,
        label: str | None = None,
    ) -> None:
        if width is not None and width < 40:
            raise ConfigError(f"width must be at least 40, got {width}; set tracker.console.width")
        if not 0 < frames_per_second <= 30:
            raise ConfigError(
                f"frames_per_second must be in (0, 30], got {frames_per_second}; "
                "set tracker.console.frames_per_second"
            )
        self._given = terminal
        self._want_live = live
        self._width = width
        self._frames_per_second = frames_per_second
        self._label = label
        self._live: Live | None = None
        self._progress: Progress | None = None
        self._give_back: Callable[[], None] = lambda: None

    def start(self, record: Record) -> None:
        """Draw the first frame; a resumed run's past is told in one line."""
        self._terminal = self._given or Terminal()
        self._progress = Progress(record)
        self._protocol = _protocol(record)
        self._now = "baselines"  # a run begins with them
        # Budgets in minutes count all sessions of the run, and so does the clock.
        self._began = time.monotonic() - sum(record.seconds().values())
        for news in self._progress.news():
            self._now = _now(news, self._progress, self._now)
        self._mark_stage()
        if self._protocol:
            self._say(f"scores under the protocol {self._protocol}")
        if self._progress.candidates:
            self._say(f"resumed after {self._progress.candidates} candidates", self._best())
        if self._want_live and self._terminal.is_terminal:
            self._go_live()

    def update(self) -> None:
        """Take in what is new; the drawing happens in its own time."""
        assert self._progress is not None
        for news in self._progress.news():
            self._now = _now(news, self._progress, self._now)
            if isinstance(news, Staged):
                self._mark_stage()
            elif isinstance(news, Told) and self._live is None:
                self._say(*self._generation_line(news))
            elif isinstance(news, Named) and self._worth_a_line(news):
                score = _number(news.evaluation.score)
                self._say(f"{news.name.replace(':', ' '):<31}{score:>6}", f"on {news.part}")

    def finish(self, status: Status, result: Mapping[str, Any] | None) -> None:
        """Leave the last frame on the screen and give the terminal back."""
        del result  # the report shows it
        if self._progress is None:
            return
        self._now = status
        if self._live is not None:
            live, self._live = self._live, None
            try:
                live.stop()
            finally:
                self._give_back()
        else:
            self._say(f"{status} after {_clock(self._elapsed())}", self._best())
        self._progress = None

    # The live display.

    def _go_live(self) -> None:
        plain = (sys.stdout, sys.stderr)
        self._live = Live(
            get_renderable=self._frame,
            console=self._terminal,
            refresh_per_second=self._frames_per_second,
        )
        self._live.start()
        self._give_back = _lend_streams(plain, (sys.stdout, sys.stderr))

    def _columns(self) -> int:
        # Less 3, so that the ^C which a terminal shows does not begin a new line.
        return self._width or min(self._terminal.width - 3, WIDEST)

    def _frame(self) -> RenderableType:
        progress = self._progress
        if progress is None:
            return Text()
        width = self._columns()
        what = Text(self._now, "bold cyan")
        if progress.stage and (self._now == "search" or self._now in ENDS):
            last = progress.last
            done = last.generation if last and last.stage == progress.stage else -1
            shown = done + 1 if self._now == "search" else max(done, 0)
            stage = "" if progress.stage == self._now else f"  {progress.stage}"
            what.append(f"{stage}  generation {shown}", "default not bold")
        if not progress.stage:
            return _line(width, what, Text(_clock(self._elapsed()), "dim"))
        facts = [str(progress.facts.get(key, "")) for key in ("merge", "optimizer", "metric")]
        share, counted = self._share()
        left = self._left()
        times = _clock(self._elapsed()) + (f"  {_clock(left)} left" if left is not None else "")
        bar = ProgressBar(
            total=1.0,
            completed=min(share, 1.0),
            width=max(10, width - len(counted) - len(times) - 6),
            complete_style="green" if self._now in ENDS else "cyan",
            finished_style="green",
        )
        return Group(
            _line(width, what, Text(" · ".join(f for f in facts if f), "dim")),
            _line(width, bar, Text.assemble(counted, "  ", (times, "dim"))),
            _line(width, self._scores(), self._counts()),
        )

    def _scores(self) -> Text:
        progress = self._progress
        assert progress is not None
        line = Text.assemble(("best ", "dim"), (_number(_score(progress)), "bold"))
        if progress.path:
            line.append(f"  {_hops(len(progress.path))}", "dim")
        if progress.last is not None and progress.last.stage == progress.stage:
            line.append("  mean ", "dim").append(_number(progress.last.mean))
        lower_is_better = progress.facts.get("direction") == "min"
        return line.append("  ").append(_sparkline(progress.history, lower_is_better), "cyan")

    def _counts(self) -> Text:
        progress = self._progress
        assert progress is not None
        line = Text(f"{progress.hits} cached", "dim")
        if progress.failures:
            line = Text.assemble((f"{progress.failures} failed", "red"), "  ", line)
        return line

    # Plain lines.

    def _say(self, *parts: str) -> None:
        line = "  ".join(part for part in (self._label, *parts) if part)
        self._terminal.print(line, markup=False, highlight=False, soft_wrap=True)

    def _best(self) -> str:
        assert self._progress is not None
        progress = self._progress
        if progress.best is None:
            return ""
        return f"best {_number(_score(progress))}{_also(len(progress.path))}"

    def _generation_line(self, told: Told) -> Sequence[str]:
        left = self._left()
        return (
            f"{told.stage} generation {told.generation}",
            f"best {_number(told.best)} (so far {_number(told.best_so_far)}{_also(told.hops)})",
            f"mean {_number(told.mean)}",
            self._share()[1],
            f"{told.screened} screened out" if told.screened else "",
            f"{told.failures} failed" if told.failures else "",
            f"{told.hits} cached" if told.hits else "",
            f"{_clock(left)} left" if left is not None else "",
        )

    # Time and budget.

    def _mark_stage(self) -> None:
        assert self._progress is not None
        self._stage_began = time.monotonic()
        self._stage_had = self._progress.candidates_of_stage

    def _elapsed(self) -> float:
        return time.monotonic() - self._began

    def _share(self) -> tuple[float, str]:
        """Return how much of the stage's budget is used, and the same in words."""
        progress = self._progress
        assert progress is not None
        done, budget = progress.candidates_of_stage, _budget(progress)
        minutes = progress.facts.get("minutes")
        share = done / budget if budget else 0.0
        if minutes:
            share = max(share, self._elapsed() / 60 / minutes)
        return share, f"{done} of {budget}" if budget else f"{done} candidates"

    def _left(self) -> float | None:
        """Return the seconds that the search is still expected to take."""
        progress = self._progress
        assert progress is not None
        if self._now != "search":
            return None
        guesses: list[float] = []
        fresh = progress.candidates_of_stage - self._stage_had
        if (budget := _budget(progress)) and fresh >= FRESH:
            pace = (time.monotonic() - self._stage_began) / fresh
            guesses.append((budget - progress.candidates_of_stage) * pace)
        if minutes := progress.facts.get("minutes"):
            guesses.append(minutes * 60 - self._elapsed())
        return max(0.0, min(guesses)) if guesses else None

    def _worth_a_line(self, news: Named) -> bool:
        """After the search, the winner and the baselines come on every part; the test counts."""
        assert self._progress is not None
        finalist = news.name.startswith("finalist")
        return finalist or news.part == "test" or not self._progress.candidates


def _now(news: News, progress: Progress, before: str) -> str:
    """Return what is likely to run after this piece of news."""
    if isinstance(news, Named):
        if not progress.candidates:
            return "baselines"
        return "select" if news.name.startswith("finalist") else "test"
    if isinstance(news, Told):
        budget = _budget(progress)
        return "select" if budget and progress.candidates_of_stage >= budget else before
    return "search"


def _protocol(record: Record) -> str:
    """Return the name and the hash of what scores are judged by; empty if the run does not say."""
    try:
        protocol = json.loads(record.meta("protocol"))
    except KeyError:
        return ""
    found = [protocol.get("task"), protocol.get("protocol"), str(protocol.get("hash", ""))[:12]]
    if other := protocol.get("search_hash"):
        found.append(f"in the search {other[:12]}")
    return ", ".join(str(part) for part in found if part)


def _budget(progress: Progress) -> int:
    """Return how many candidates the stage can have, in whole generations; 0 for no limit."""
    limit, population = progress.facts.get("evaluations"), progress.facts.get("population")
    if not limit:
        return 0
    if progress.facts.get("schedule") == "steady_state":
        return int(limit)
    return int(limit // population * population if population else limit)


def _score(progress: Progress) -> float | None:
    return progress.best.score if progress.best else None


def _number(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:.3f}" if abs(value) < 100 else f"{value:.4g}"


def _hops(count: int) -> str:
    return f"{count} hop" if count == 1 else f"{count} hops"


def _also(count: int | None) -> str:
    return f", {_hops(count)}" if count else ""


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def _sparkline(values: Sequence[float], lower_is_better: bool) -> str:
    """Return a small curve in which up is better."""
    values = list(values)  # the search may append meanwhile
    count = min(len(values), POINTS)
    picked = [values[round((i + 1) * len(values) / count) - 1] for i in range(count)]
    signed = [-v if lower_is_better else v for v in picked]
    low, high = min(signed, default=0.0), max(signed, default=0.0)
    scale = (len(BLOCKS) - 1) / (high - low) if high > low else 0.0
    return "".join(BLOCKS[round((v - low) * scale)] for v in signed)


def _line(width: int, left: RenderableType, right: RenderableType) -> Table:
    table = Table.grid(expand=False, padding=(0, 1))
    table.width = width
    table.add_column(ratio=1, no_wrap=True)
    table.add_column(justify="right", no_wrap=True)
    table.add_row(left, right)
    return table


def _lend_streams(plain: Sequence[Any], drawn: Sequence[Any]) -> Callable[[], None]:
    """Make the log handlers that are there write above the live display; return the way back.

    A handler keeps the stream that it was made with, past which the display cannot see.
    """
    lent: list[tuple[logging.StreamHandler[Any], Any]] = []
    known = [logging.getLogger(name) for name in tuple(logging.root.manager.loggerDict)]
    for logger in (logging.root, *known):
        for handler in logger.handlers:
            if isinstance(handler, logging.StreamHandler) and handler.stream in plain:
                before = handler.stream
                handler.setStream(drawn[plain.index(before)])
                lent.append((handler, before))

    def give_back() -> None:
        for handler, before in lent:
            handler.setStream(before)

    return give_back
