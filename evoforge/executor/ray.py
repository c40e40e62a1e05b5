"""Evaluation by Ray: on the nodes of a cluster, or in a small one that lives as long as the run.

Workers are actors. Each maps the source files of its node, and merges where it evaluates.
"""

import logging
import math
import os
import secrets
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from evoforge.errors import ConfigError, SearchError
from evoforge.executor._actor import PULSE, Actor, Hands
from evoforge.executor._crew import Crew, Patience
from evoforge.executor._guard import Guard, started_by_ray
from evoforge.executor._machine import check_above_zero, check_least, cores, threads_environment
from evoforge.executor._messages import Message
from evoforge.executor._seat import Worker
from evoforge.executor.base import Evaluate, Job, Place

# Signs of life within the time that a worker may say nothing.
BEATS = 4
# Bytes for what travels between processes: jobs and results. Weights do not travel.
STORE = 2**28
# What a user may set otherwise. Ray prints what happens to workers, which is said here anyway.
DEFAULTS = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_DEDUP_LOGS_SKIP_REGEX": ".*",
}


class Ray(Crew):
    """Does jobs in actors of Ray.

    A process that is connected to Ray already uses that connection, and leaves it open.

    Args:
        evaluate: not used here.
        make: makes the like of it in a worker.
        protocol: names the protocol of a job.
        workers: how many; None for as many as the cluster has room for.
        address: `auto` or the address of a cluster to join; None for one of this machine alone.
        gpus: of each worker, shares allowed; None for 1 where the cluster has any, else for 0.
        cpus: of each worker, as Ray counts them, shares allowed; None for `threads`.
        threads: of each worker, for what it computes on the CPU.
        wait: seconds to wait for room in the cluster.
        runtime_env: of the workers, as Ray describes it; None for that of the cluster.
        timeout: seconds that a candidate may take; its evaluation has failed then. None for any.
        retries: how often a candidate is evaluated again whose worker died.
        heartbeat: seconds that a worker at work may say nothing before it is replaced.

    Raises:
        ConfigError: Ray is not installed, or an option makes no sense.
    """

    def __init__(
        self,
        evaluate: Evaluate,
        make: Callable[[Place], Evaluate],
        protocol: Callable[[Job], str] = lambda _: "",
        *,
        workers: int | None = None,
        address: str | None = None,
        gpus: float | None = None,
        cpus: float | None = None,
        threads: int = 1,
        wait: float = 300.0,
        runtime_env: Mapping[str, Any] | None = None,
        timeout: float | None = None,
        retries: int = 1,
        heartbeat: float = 60.0,
    ) -> None:
        check_above_zero("wait", wait)
        patience = Patience(timeout, retries, heartbeat, start=wait)
        super().__init__(evaluate, make, protocol, patience)
        if find_spec("ray") is None:
            raise ConfigError(
                "executor=ray needs Ray; pip install 'evoforge[ray]', or set executor=processes"
            )
        check_least("workers", workers, 1)
        check_least("threads", threads, 1)
        check_least("gpus", gpus, 0)
        check_above_zero("cpus", cpus)
        self._wanted = workers
        self._address = address
        self._gpus = gpus
        self._cpus = float(threads if cpus is None else cpus)
        self._threads = threads
        self._runtime_env = runtime_env
        self._ours = False
        self._hands: Any = None
        self._guard: Guard | None = None

    @cached_property
    def workers(self) -> int:
        """How many actors there are; connects to the cluster if it must be asked."""
        if self._wanted is not None:
            return self._wanted
        self._connect()
        found = sum(self._room(node["Resources"]) for node in _nodes())
        if not found:
            raise ConfigError(
                f"no node of the Ray cluster has {self._each}, which a worker takes; "
                "set executor.cpus and executor.gpus"
            )
        return found

    @property
    def _each(self) -> str:
        return f"{self._cpus:g} CPUs and {self._gpus or 0:g} GPUs"

    def _room(self, has: Mapping[str, float]) -> int:
        """Return how many workers a node has room for."""
        fits = [has.get("CPU", 0.0) / self._cpus]
        if self._gpus:
            fits.append(has.get("GPU", 0.0) / self._gpus)
        return math.floor(min(fits) + 1e-9)

    def _connect(self) -> None:
        if self._hands is not None:
            return
        _prepare(alone=self._address is None)
        import ray

        if not ray.is_initialized():
            self._join(ray)
        elif ray.get_runtime_context().worker.mode == ray.WORKER_MODE:
            raise ConfigError(
                "this run is itself a task of Ray, which would wait for its own workers; "
                "set executor=processes, or start it without hydra/launcher=ray"
            )
        if self._gpus is None:
            self._gpus = 1.0 if ray.cluster_resources().get("GPU") else 0.0
        self._hands = ray.remote(concurrency_groups={PULSE: 1})(Hands).options(
            num_cpus=self._cpus, num_gpus=self._gpus, max_restarts=0, max_task_retries=0
        )

    def _join(self, ray: Any) -> None:
        """Join the cluster that is asked for, or start one."""
        quiet: dict[str, Any] = {
            "logging_level": logging.ERROR,
            "log_to_driver": False,
            "configure_logging": False,
            "runtime_env": None if self._runtime_env is None else dict(self._runtime_env),
        }
        with _own_signals():
            if self._address is None:
                least = math.ceil((self._wanted or 1) * self._cpus)
                ray.init(
                    address="local",
                    num_cpus=max(cores(), least),
                    include_dashboard=False,
                    object_store_memory=STORE,
                    **quiet,
                )
                # Killed ourselves we end nothing, and some of Ray's processes stay for a minute.
                self._guard = Guard(started_by_ray())
            else:
                self._reach(ray, quiet)
        self._ours = True

    def _reach(self, ray: Any, quiet: Mapping[str, Any]) -> None:
        try:
            ray.init(address=self._address, **quiet)
        except (ConnectionError, ValueError, RuntimeError, ray.exceptions.RayError) as error:
            first = (str(error).strip() or type(error).__name__).splitlines()[0]
            raise ConfigError(
                f"no Ray cluster can be joined at {self._address} ({first}); start one with "
                "ray start --head, or set executor.address=null"
            ) from error

    def _disconnect(self) -> None:
        if self._ours:
            import ray

            ray.shutdown()
        if self._guard is not None:
            self._guard.close()
            self._guard = None
        self._ours, self._hands = False, None

    def _hire(self, number: int) -> Worker:
        """Ask for an actor."""
        del number
        import ray

        environment = threads_environment(self._threads)
        beat = self._patience.heartbeat / BEATS
        return Actor(ray, self._hands, self.make, (environment, str(Path.cwd())), beat)

    def _listen(self, seconds: float) -> list[tuple[Worker, Message]]:
        """Return what actors said; see `Crew`."""
        import ray

        actors = [seat.worker for seat in self._seats if isinstance(seat.worker, Actor)]
        of = {call: actor for actor in actors for call in actor.calls}
        if not of:
            time.sleep(seconds)
            return []
        try:
            done, _ = ray.wait(list(of), num_returns=1, timeout=seconds)
        except ray.exceptions.RayError as error:
            raise SearchError(
                f"the connection to the Ray cluster was lost ({type(error).__name__}); start the "
                "cluster again and go on with resume"
            ) from error
        return [(of[call], message) for call in done for message in of[call].answered(call)]

    def _nobody(self, seconds: float) -> str:
        """Return what the user is told when the cluster has no room; see `Crew`."""
        return (
            f"the Ray cluster had nothing free for {seconds:g} s, and a worker takes {self._each}; "
            "end what holds it, or set executor.wait"
        )


def _prepare(*, alone: bool) -> None:
    """Set what Ray reads when it is imported.

    Args:
        alone: whether the cluster will be one of this process alone, with a key of its own. Without
            one every user of the machine could have it run what they like.
    """
    defaults = dict(DEFAULTS)
    if alone and "ray" not in sys.modules:
        defaults |= {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
    for key, value in defaults.items():
        os.environ.setdefault(key, value)


def _nodes() -> list[dict[str, Any]]:
    """Return the nodes of the cluster that are alive."""
    import ray

    return [node for node in ray.nodes() if node["Alive"]]


@contextmanager
def _own_signals() -> Iterator[None]:
    """Keep what this process does on SIGTERM, for Ray sets its own way."""
    before = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, before)
