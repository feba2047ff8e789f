"""Workers: processes on a cluster that do the shards of some work, whatever becomes of a few.

Shards are given to workers a few at a time, however many there are, and their results come back in
the order of the shards. A worker that dies is replaced, on whichever node has room, and its shards
are done again by others. A shard whose workers die again and again is cut in two, until it is known
which item it is that kills them; that one is given up, and named.
"""

import os
import socket
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar, runtime_checkable

from vireid import __version__
from vireid.bulk.cluster import NOWHERE, Cluster, Environment, set_variables, variables
from vireid.errors import VireidError
from vireid.threads import limit_processors

T = TypeVar("T")

AHEAD = 2
"""Shards that a worker has at once: while it does one, the next is on its way."""
WINDOW = 4
"""Shards for each worker that are being done or wait to be taken, which bounds memory."""
MOST_DEATHS = 3
"""Deaths of workers after which a single item is given up."""
MOST_FAILED_STARTS = 3
"""Times that all workers may die before one of them has begun."""
PATIENCE = 300.0
"""Seconds to wait for the first worker: whoever has the cluster's processors may need them long."""
COUNT_NODES_EVERY = 5.0
"""Seconds between two looks at the nodes, which may come and go."""
TICK = 0.5
"""Seconds between two looks at what is going on."""


@dataclass(frozen=True)
class Shard(Generic[T]):
    """Items that one worker does in one go."""

    items: tuple[T, ...]

    def halves(self) -> "tuple[Shard[T], Shard[T]]":
        """Return the first and the second half of the items."""
        middle = (len(self.items) + 1) // 2
        return Shard(self.items[:middle]), Shard(self.items[middle:])


def shards_of(items: Sequence[T], size: int) -> Iterator[Shard[T]]:
    """Yield all items in their order, in shards of a size; the last may be smaller."""
    for start in range(0, len(items), size):
        yield Shard(tuple(items[start : start + size]))


@dataclass(frozen=True)
class Done(Generic[T]):
    """A shard with what its worker has made of it."""

    shard: Shard[T]
    result: Any
    node: str
    """Name of the node that did it."""


@dataclass(frozen=True)
class GivenUp(Generic[T]):
    """A shard of a single item that killed its workers."""

    shard: Shard[T]
    deaths: int
    why: str
    """How the last of the workers died."""


@runtime_checkable
class Doer(Protocol):
    """What is made in the process of a worker; its constructor only keeps what it is given."""

    def open(self) -> Any:
        """Get ready; may take long.

        Returns:
            Whatever the `Workers` are to check before the worker gets its first shard.
        """


@dataclass(frozen=True)
class _Failed:
    """An error that a person can fix, on its way from a worker: not all errors can be pickled."""

    sentence: str
    listed: tuple[str, ...]

    @property
    def error(self) -> VireidError:
        """The error."""
        return VireidError(self.sentence, listed=self.listed)


@dataclass(eq=False)
class _Task(Generic[T]):
    """A shard on its way."""

    shard: Shard[T]
    deaths: int = 0
    answer: Done[T] | GivenUp[T] | VireidError | None = None


@dataclass(eq=False)
class _Worker(Generic[T]):
    actor: Any
    start: Any
    """Reference of the answer of `open`; None once it has come."""
    node: str = ""
    tasks: dict[Any, _Task[T]] = field(default_factory=dict)
    """Tasks that it has been given, by the references of their answers, the oldest first."""


class Remote:
    """A `Doer` in the process of a worker, as an actor of Ray."""

    def __init__(
        self,
        kind: type[Doer],
        given: Sequence[Any],
        cluster: Cluster,
        folder: str,
        proxies: Environment,
    ) -> None:
        self._kind, self._given, self._cluster = kind, given, cluster
        self._folder, self._proxies = folder, proxies
        self._doer: Any = None

    def open(self) -> Any:
        """Return the name of the node, the version of vireid, and the answer of the `Doer`."""
        with suppress(OSError):  # so that paths mean here what they mean where they were typed
            os.chdir(self._folder)
        if variables(NOWHERE) == NOWHERE:
            set_variables(self._proxies)
        if not self._cluster.gpus:  # many workers would share the first one
            os.environ["CUDA_VISIBLE_DEVICES"] = ""
        limit_processors(self._cluster.threads)
        self._doer = self._kind(*self._given)
        return node_name(), __version__, _caught(self._doer.open)

    def do(self, method: str, items: Sequence[Any]) -> Any:
        """Return what a method of the `Doer` makes of some items."""
        return _caught(lambda: getattr(self._doer, method)(items))


def _caught(do: Callable[[], Any]) -> Any:
    try:
        return do()
    except VireidError as error:
        return _Failed(error.sentence, error.listed)


def node_name() -> str:
    """Return the name of this node and its address, as a person may look for it."""
    import ray

    return f"{socket.gethostname()} ({ray.util.get_node_ip_address()})"


class Workers(Generic[T]):
    """Workers on the cluster that this process has joined; they end with the `with` block."""

    def __init__(
        self,
        kind: type[Doer],
        given: Sequence[Any],
        cluster: Cluster,
        check: Callable[[Any, str], None],
    ) -> None:
        """Say what workers are to be; none is begun yet.

        Args:
            kind: Class of what works; it has to be installed on every node.
            given: Arguments of its constructor.
            cluster: The cluster, which this process has joined.
            check: Called with the answer of each worker's `open` and the name of its node; raises
                what is wrong with it.
        """
        self._kind, self._given, self._cluster, self._check = kind, given, cluster, check
        self._workers = list[_Worker[T]]()
        self._again = deque[_Task[T]]()
        self._open = list[_Task[T]]()
        self._coming: Iterator[Shard[T]] = iter(())
        self._has_drawn_all = False
        self._count_nodes_at = 0.0
        self._has_begun = False
        self._failed_starts = 0
        self.deaths = 0
        """Workers that have died."""

    def __enter__(self) -> "Workers[T]":
        return self

    def __exit__(self, *error: object) -> None:
        import ray

        for worker in self._workers:
            ray.kill(worker.actor)
        self._workers.clear()

    def done(
        self,
        method: str,
        shards: Iterable[Shard[T]],
        meanwhile: Callable[[], None] = lambda: None,
    ) -> Iterator[Done[T] | GivenUp[T]]:
        """Have shards done, and yield what became of them, in their order.

        Args:
            method: Method of the `Doer` that takes the items of a shard.
            shards: Shards; they are drawn as workers become free.
            meanwhile: Called about twice a second while nothing else is to be done.

        Raises:
            VireidError: What a worker or the check raised; or the cluster has no room, or no worker
                can be begun.
        """
        self._again.clear()
        self._open.clear()
        self._has_drawn_all = False
        self._coming, since = iter(shards), time.monotonic()
        while True:
            while self._open and (answer := self._open[0].answer) is not None:
                self._open.pop(0)
                if isinstance(answer, VireidError):
                    raise answer
                yield answer
            self._hire()
            self._hand_out(method)
            if not self._open and self._has_drawn_all:
                return
            if not self._listen():
                meanwhile()
            self._check_patience(since)

    def _hire(self) -> None:
        """Begin workers in place of those that are missing, and on nodes that are new."""
        if time.monotonic() < self._count_nodes_at:
            return
        self._count_nodes_at = time.monotonic() + COUNT_NODES_EVERY
        wanted = self._wanted()
        import ray

        cluster = self._cluster
        actor = ray.remote(Remote).options(
            num_cpus=cluster.threads,
            num_gpus=cluster.gpus,
            max_restarts=0,
            max_task_retries=0,
            scheduling_strategy="SPREAD",
        )
        while len(self._workers) < wanted:
            here = str(Path.cwd()), variables(NOWHERE)
            made = actor.remote(self._kind, self._given, cluster, *here)
            self._workers.append(_Worker(made, made.open.remote()))

    def _wanted(self) -> int:
        """Return how many workers there are to be.

        Raises:
            VireidError: No node has what one of them needs.
        """
        import ray

        needs = {"CPU": float(self._cluster.threads), "GPU": self._cluster.gpus}
        nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
        room = sum(
            min(int(node.get(what, 0) / need) for what, need in needs.items() if need)
            for node in nodes
        )
        if not room and not self._workers:
            there = "; ".join(f"{n.get('CPU', 0):g} and {n.get('GPU', 0):g}" for n in nodes)
            raise VireidError(
                f"a worker needs {needs['CPU']:g} processors and {needs['GPU']:g} GPUs of one "
                f"node, and the nodes of the cluster have {there}; ask for fewer (--threads, "
                "--gpus), or add nodes"
            )
        return min(self._cluster.workers or room, max(room, 1))

    def _hand_out(self, method: str) -> None:
        """Give shards to the workers that are ready and have few."""
        ready = [worker for worker in self._workers if worker.start is None]
        for had in range(AHEAD):  # everybody gets one before anybody gets two
            for worker in ready:
                if len(worker.tasks) == had and (task := self._next_task()) is not None:
                    worker.tasks[worker.actor.do.remote(method, task.shard.items)] = task

    def _next_task(self) -> _Task[T] | None:
        """Return a shard that is to be done again, or else a new one."""
        if self._again:
            return self._again.popleft()
        if len(self._open) >= WINDOW * len(self._workers):
            return None
        drawn = next(self._coming, None)
        if drawn is None:
            self._has_drawn_all = True
            return None
        task = _Task(drawn)
        self._open.append(task)
        return task

    def _listen(self) -> bool:
        """Take the answers that have come; return whether there was any."""
        import ray

        waited = [ref for each in self._workers for ref in (each.start, *each.tasks) if ref]
        come, _ = ray.wait(waited, num_returns=len(waited), timeout=0)
        if not come:
            come, _ = ray.wait(waited, timeout=TICK)
        for ref in come:
            worker = next((w for w in self._workers if ref == w.start or ref in w.tasks), None)
            if worker is not None:  # it has not died of an answer before this one
                self._take(worker, ref)
        return bool(come)

    def _take(self, worker: _Worker[T], ref: Any) -> None:
        """Take one answer of a worker: it is ready, has done a shard, or has died."""
        import ray
        from ray.exceptions import RayError, RayTaskError

        try:
            answer = ray.get(ref)
        except RayTaskError as error:
            raise error.cause from error  # a fault of vireid's
        except RayError as error:
            self._bury(worker, _in_short(error))
            return
        if ref == worker.start:
            worker.node, version, about = answer
            worker.start, self._has_begun = None, True
            _check_version(version, worker.node)
            if isinstance(about, _Failed):
                raise VireidError(f"node {worker.node}: {about.sentence}")
            self._check(about, worker.node)
            return
        task = worker.tasks.pop(ref)
        failed = isinstance(answer, _Failed)
        task.answer = answer.error if failed else Done(task.shard, answer, worker.node)

    def _bury(self, worker: _Worker[T], why: str) -> None:
        """Give the shards of a worker that has died to others; the one that it did is suspect."""
        import ray

        ray.kill(worker.actor)  # it may be its answer alone that is lost
        self._workers.remove(worker)
        self.deaths += 1
        if worker.start is None or not self._workers:
            self._count_nodes_at = 0.0  # others, whose starts fail, are not tried again so soon
        if not self._has_begun and not self._workers:
            self._failed_starts += 1
            if self._failed_starts >= MOST_FAILED_STARTS:
                raise VireidError(
                    f"no worker can be begun; the last: {why} Every node needs the same Python, "
                    f"with vireid {__version__} and its extras"
                )
        for number, task in enumerate(worker.tasks.values()):
            if number == 0:
                task.deaths += 1
                self._suspect(task, why)
            else:
                self._again.append(task)

    def _suspect(self, task: _Task[T], why: str) -> None:
        """Do a shard again whose worker has died; or its halves, or give it up."""
        if task.deaths >= 2 and len(task.shard.items) > 1:
            halves = [_Task(half, task.deaths - 1) for half in task.shard.halves()]
            place = self._open.index(task)
            self._open[place : place + 1] = halves
            self._again.extendleft(reversed(halves))
        elif task.deaths >= MOST_DEATHS:
            task.answer = GivenUp(task.shard, task.deaths, why)
        else:
            self._again.appendleft(task)

    def _check_patience(self, since: float) -> None:
        if self._has_begun or time.monotonic() - since < PATIENCE:
            return
        import ray

        free, whole = ray.available_resources().get("CPU", 0), ray.cluster_resources().get("CPU", 0)
        raise VireidError(
            f"no worker could begin within {PATIENCE:g} s: {free:g} of the cluster's {whole:g} "
            "processors are free; wait for what uses them, or add nodes"
        )


def _check_version(version: str, node: str) -> None:
    if version != __version__:
        raise VireidError(
            f"node {node} has vireid {version}, this is {__version__}; install the same on both"
        )


def _in_short(error: BaseException) -> str:
    """Return the first sentences of one of Ray's errors, which are long."""
    told = " ".join(str(error).split())
    return told[:300] + ("…" if len(told) > 300 else "")
