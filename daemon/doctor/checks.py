"""Every check by its name, in the order in which they are told, and how they are run."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping

from daemon.doctor import machine, models, resources, state, stream
from daemon.doctor.finding import Check, Patient
from daemon.errors import RetaindError
from daemon.finding import Finding

MACHINE: Mapping[str, Callable[[], Iterator[Finding]]] = {
    "python": machine.python,
    "packages": machine.packages,
    "sqlite": machine.sqlite,
    "clock": machine.clock_set,
}
"""What needs no configuration."""

CHECKS: Mapping[str, Check] = {
    "state_dir": state.writable,
    "disk": state.disk,
    "signature": state.signature,
    "base": models.base,
    "offline": models.offline,
    "device": resources.device,
    "threads": resources.threads,
    "memory": resources.memory,
    "port": resources.port,
    "stream": stream.reached,
    "locks": state.locks,
    "registry": models.aliases,
    "stores": state.stores,
    "history": state.clock_against_state,
}
"""What looks at a configuration and its state."""


def look_at_machine() -> Iterator[tuple[str, Finding]]:
    """Name and finding, check after check."""
    for name, check in MACHINE.items():
        yield from _told(name, check())


def look_at(patient: Patient) -> Iterator[tuple[str, Finding]]:
    """Name and finding, check after check; one that fails does not stop the others."""
    for name, check in CHECKS.items():
        yield from _told(name, check(patient))


def _told(name: str, findings: Iterable[Finding]) -> Iterator[tuple[str, Finding]]:
    try:
        for finding in findings:
            yield name, finding
    except (RetaindError, OSError) as error:
        yield name, Finding("fail", str(error))
