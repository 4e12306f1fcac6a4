"""The one loop in which networks learn by gradient (extra `torch`): step by step, with progress, checkpoints and exact resuming.

What determines a training is its seed, its pictures and its settings: random numbers come from generators of its own, and torch's
are put back as they were. A checkpoint is one safetensors file: the network's weights, what its optimisers keep, and as JSON the
step and the states of the random numbers. A training that takes it up ends bit for bit where it would have ended without a stop
(on the same machine: another processor, or number of threads, adds up in another order).
"""

from __future__ import annotations

import contextlib
import json
import math
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from flawsight.errors import DataError, LearningFailed, UsageError
from flawsight.system.files import atomic_write
from flawsight.types import DETAIL

T = TypeVar("T")
Rows = NDArray[Any]

KEEP_EVERY_S = 60.0
REHEARSED_S = 1.0  # of a training's steps, at least one, and a second one if that is not ten times as long
LAST_RATE = 0.01  # of the first, where it falls
JITTER = 0.05  # standard deviations by which copies of rows are moved apart, where they stand for others
MEMORY = 0.98  # of the loss that is reported: how much of the step before stays in it


@dataclass(frozen=True)
class Phase:
    """What a step does with its batch, once: a loss, and the optimiser that follows its gradient. A GAN's step has two of these.

    loss: of what `draw` gave; the network is in training mode. schedule: of the learning rate, advanced after each step.
    """

    optimiser: Any
    loss: Callable[[Any], torch.Tensor]
    schedule: Any = None


def falling(optimiser: Any, steps: int) -> Any:
    """A schedule under which the optimiser's rate falls in so many steps, along a cosine, to LAST_RATE of the first."""
    return torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps, optimiser.defaults["lr"] * LAST_RATE)


@dataclass(frozen=True)
class Run:
    """How to train. where: the method, as errors name it. device: "cpu" or "cuda". folder: of checkpoints, none without.

    key: of all that determines the training; checkpoints of another are refused. tell: see types.Progress. keep_every_s:
    seconds between checkpoints.
    """

    where: str
    seed: int
    device: str = "cpu"
    folder: Path | None = None
    key: str = ""
    tell: Callable[[str, int, int], None] | None = None
    keep_every_s: float = KEEP_EVERY_S

    @contextlib.contextmanager
    def seeded(self) -> Iterator[None]:
        """Inside, torch's random numbers come from this run's seed, for making networks and for training; outside they stay."""
        on_gpu = torch.device(self.device).type == "cuda"
        with torch.random.fork_rng(devices=[torch.device(self.device)] if on_gpu else []):
            torch.random.default_generator.manual_seed(self.seed)
            if on_gpu:
                torch.cuda.manual_seed(self.seed)
            yield

    @contextlib.contextmanager
    def mixed(self) -> Iterator[None]:
        """On a GPU, products in bfloat16 inside; on a CPU nothing changes. For networks: losses want float32, outside."""
        if torch.device(self.device).type == "cuda":
            with torch.autocast("cuda", torch.bfloat16):
                yield
        else:
            yield

    def descend(
        self,
        network: nn.Module,
        phases: Sequence[Phase],
        draw: Callable[[np.random.Generator], Any],
        steps: int,
        what: str = "training",
    ) -> float:
        """Train for so many steps, and return what the loss of the first phase came to. The network is in eval mode then.

        network: holds all that is trained, and all that a step changes besides, as buffers. draw: a batch, from random numbers that
        it is given. what: is trained; names the checkpoint too. Raises LearningFailed for a loss that is not a number.
        """
        state = _State(self, network, phases, what, steps, np.random.default_rng(self.seed))
        state.take_up()
        network.train()
        kept = time.monotonic()
        while state.done < steps:
            state.step(self._step(phases, draw(state.rng)))
            if self.tell:
                self.tell(f"{what}{DETAIL}loss {state.loss:.4g}", state.done, steps)
            if state.done < steps and time.monotonic() - kept >= self.keep_every_s:
                state.keep()
                kept = time.monotonic()
        network.eval()
        state.keep()
        return state.loss

    def each(self, what: str, items: Iterable[T], n: int) -> Iterator[T]:
        """The n items, each reported when the next is asked for. what: is done with them."""
        for done, item in enumerate(items, 1):
            yield item
            if self.tell:
                self.tell(what, done, n)

    def standing_for(self, n: int) -> int:
        """How many pictures, or parts of them, these n stand for: themselves."""
        return n

    def whole(self, rows: Rows, n: int) -> Rows:
        """What was made of n things, [n,…]: the rows themselves."""
        return rows

    def _step(self, phases: Sequence[Phase], batch: Any) -> float:
        """All phases done with a batch: the loss of the first."""
        losses = [self._follow(phase, batch) for phase in phases]
        return losses[0]

    def _follow(self, phase: Phase, batch: Any) -> float:
        phase.optimiser.zero_grad(set_to_none=True)
        loss = phase.loss(batch)
        value = float(loss.detach())
        if not math.isfinite(value):
            raise LearningFailed(
                f"{self.where}: training needs a loss that is a number; it became {value}. Set lr lower, or another seed."
            )
        loss.backward()
        phase.optimiser.step()
        if phase.schedule is not None:
            phase.schedule.step()
        return value


@dataclass(frozen=True)
class Rehearsal(Run):
    """A run that does only the first of everything, to see what all of it will take. Nothing of it is kept.

    stands_for: pictures, for each that it is rehearsed with. seconds: what is done → those that all of it will take.
    """

    stands_for: float = 1.0
    seconds: dict[str, float] = field(default_factory=dict)

    def descend(
        self,
        network: nn.Module,
        phases: Sequence[Phase],
        draw: Callable[[np.random.Generator], Any],
        steps: int,
        what: str = "training",
    ) -> float:
        """See Run.descend."""
        rng, loss = np.random.default_rng(self.seed), math.nan
        network.train()
        for _ in self.each(what, range(steps), steps):
            loss = self._step(phases, draw(rng))
        network.eval()
        return loss

    def each(self, what: str, items: Iterable[T], n: int) -> Iterator[T]:
        """The first of the items."""
        times: list[float] = []
        started = time.perf_counter()
        for item in items:
            yield item
            now = time.perf_counter()
            times.append(now - started)
            started = now
            if sum(times) >= (REHEARSED_S if len(times) > 1 else 10 * REHEARSED_S):
                break
        self.seconds[what] = n * float(np.mean(times[1:] or times or 0.0))  # the first also sets things up

    def standing_for(self, n: int) -> int:
        """See Run.standing_for."""
        return round(n * self.stands_for)

    def whole(self, rows: Rows, n: int) -> Rows:
        """As many rows, so that they take the room of all: these, then copies, which are moved a little where they are floats."""
        every = np.empty((max(n, len(rows)), *rows.shape[1:]), rows.dtype)
        every[: len(rows)] = rows
        rng = np.random.default_rng(self.seed)
        for start in range(len(rows), len(every), len(rows)):
            copies = rows[: len(every) - start]
            if rows.dtype.kind == "f":
                copies = copies + JITTER * rows.std(0) * rng.standard_normal(copies.shape, rows.dtype)
            every[start : start + len(rows)] = copies
        return every


@dataclass
class _State:
    """How far a training is, and its checkpoint."""

    run: Run
    network: nn.Module
    phases: Sequence[Phase]
    what: str
    steps: int
    rng: np.random.Generator
    done: int = 0
    loss: float = field(default=math.nan)

    def step(self, loss: float) -> None:
        self.done += 1
        self.loss = loss if math.isnan(self.loss) else MEMORY * self.loss + (1 - MEMORY) * loss

    @property
    def _path(self) -> Path | None:
        return self.run.folder and self.run.folder / f"{self.run.where}-{self.what.replace(' ', '-')}.safetensors"

    def keep(self) -> None:
        """Write the checkpoint, whole or not at all."""
        if self._path is None:
            return
        from safetensors.torch import save

        tensors = {f"network.{name}": one for name, one in self.network.state_dict().items()}
        tensors["random.cpu"] = torch.random.get_rng_state()
        if torch.device(self.run.device).type == "cuda":
            tensors["random.cuda"] = torch.cuda.get_rng_state(self.run.device)
        rest: dict[str, Any] = {"key": self._key, "done": self.done, "loss": self.loss, "numpy": self.rng.bit_generator.state}
        for i, phase in enumerate(self.phases):
            saved = phase.optimiser.state_dict()
            rest[f"{i}.groups"] = saved["param_groups"]
            rest[f"{i}.schedule"] = None if phase.schedule is None else _plain(phase.schedule.state_dict())
            for param, about in saved["state"].items():
                for name, value in about.items():
                    if isinstance(value, torch.Tensor):
                        tensors[f"{i}.{param}.{name}"] = value
                    else:
                        rest[f"{i}.{param}.{name}"] = value
        whole = {name: one.detach().cpu().contiguous().clone() for name, one in tensors.items()}
        self._path.parent.mkdir(parents=True, exist_ok=True)
        atomic_write(self._path, save(whole, {"training": json.dumps(rest)}))

    def take_up(self) -> None:
        """Go on from the checkpoint, if there is one. Raises DataError for a damaged one, UsageError for another training's."""
        if self._path is None or not self._path.exists():
            return
        from safetensors import safe_open

        try:
            with safe_open(self._path, "pt") as file:
                rest = json.loads(file.metadata()["training"])
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  it is no dictionary
        except Exception as error:  # what is no such file can raise anything
            raise DataError(f"{self._path}: a checkpoint was needed; it cannot be read ({error}). Delete it.") from error
        if rest["key"] != self._key:
            raise UsageError(
                f"{self._path}: a checkpoint of this training was needed; it is of other pictures, settings or versions. "
                "Name another folder for checkpoints, or delete it."
            )
        prefix = "network."
        self.network.load_state_dict({k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)})
        for i, phase in enumerate(self.phases):
            phase.optimiser.load_state_dict({"state": _of_optimiser(i, tensors, rest), "param_groups": rest[f"{i}.groups"]})
            if phase.schedule is not None:
                phase.schedule.load_state_dict(rest[f"{i}.schedule"])
        torch.random.set_rng_state(tensors["random.cpu"])
        if "random.cuda" in tensors:
            torch.cuda.set_rng_state(tensors["random.cuda"], self.run.device)
        self.rng.bit_generator.state = rest["numpy"]
        self.done, self.loss = rest["done"], rest["loss"]

    @property
    def _key(self) -> str:
        return f"{self.run.key} {self.steps} {self.run.seed} {self.run.device} {torch.__version__}"


def _of_optimiser(number: int, tensors: dict[str, torch.Tensor], rest: dict[str, Any]) -> dict[int, dict[str, Any]]:
    """What an optimiser keeps of each of its parameters."""
    state: dict[int, dict[str, Any]] = {}
    for name, value in (*tensors.items(), *rest.items()):
        parts = name.split(".")
        if len(parts) == 3 and parts[0] == str(number):
            state.setdefault(int(parts[1]), {})[parts[2]] = value
    return state


def _plain(state: dict[str, Any]) -> dict[str, Any]:
    """What of a schedule's state is plain values: all but the functions in it."""
    return {name: value for name, value in state.items() if not callable(value) and name != "lr_lambdas"}
