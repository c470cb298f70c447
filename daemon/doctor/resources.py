"""What the configuration asks of this machine: devices, cores, memory, the port."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import psutil

from daemon.doctor.finding import Patient
from daemon.finding import Finding

CGROUP_CPU = Path("/sys/fs/cgroup/cpu.max")


def device(patient: Patient) -> Iterator[Finding]:
    """Is every device that is asked for there?"""
    import torch

    config = patient.config
    asked = {"predict.device": config.predict.device, "learn.device": config.learn.device}
    asked |= {f"tasks.{name}.training.device": task.training.device for name, task in config.tasks.items()}
    there = torch.cuda.device_count() if torch.cuda.is_available() else 0
    wrong = 0
    for key, name in asked.items():
        kind, _, number = name.partition(":")
        if kind == "cuda" and int(number or 0) >= there:
            wrong += 1
            yield Finding(
                "fail", f"{key} = {name!r}, but {there} CUDA devices are there", f"set {key} to auto, cpu or one there"
            )
    if not wrong:
        auto = "cuda" if there else "cpu"
        yield Finding("ok", f"torch {torch.__version__}, {there} CUDA devices; auto means {auto}")


def threads(patient: Patient) -> Iterator[Finding]:
    """Do the threads that work at once fit the cores?"""
    config, cores = patient.config, available_cores()
    training = max(task.training.threads for task in config.tasks.values())
    asked = config.predict.threads + config.learn.threads + training
    told = (
        f"predict {config.predict.threads} + learn {config.learn.threads} + training {training} threads "
        f"on {cores:g} cores"
    )
    if max(config.predict.threads, config.learn.threads, training) > cores:
        yield Finding(
            "warn", told, "lower predict.threads, learn.threads or training.threads: they wait for each other"
        )
    else:
        yield Finding("ok", told + ("" if asked <= cores else "; while an update runs they share them"))


def memory(patient: Patient) -> Iterator[Finding]:
    """Is what the trainer may hold there?"""
    most = max(task.update.max_memory_bytes for task in patient.config.tasks.values())
    total = psutil.virtual_memory().total
    told = f"{total / 2**30:.1f} GiB of memory; a training is killed above {most / 2**30:.1f} GiB"
    if most > total:
        yield Finding("warn", told, "lower update.max_memory_bytes, or the kernel kills first")
    else:
        yield Finding("ok", told)


def port(patient: Patient) -> Iterator[Finding]:
    """Is the door's port free, or our own daemon's?"""
    host, number = patient.config.http.host, patient.config.http.port
    if number == 0:
        yield Finding("ok", "http.port is 0: a free one is taken")
        return
    family = socket.getaddrinfo(host, number, type=socket.SOCK_STREAM)[0][0]
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, number))
        except OSError as error:
            ours = _door(patient.paths.root)
            if ours is not None and ours["port"] == number:
                yield Finding("ok", f"{host}:{number} is held by our daemon (process {ours['pid']})")
            else:
                yield Finding(
                    "fail",
                    f"{host}:{number} cannot be listened on: {error.strerror}",
                    "stop what listens there, or set http.port (and http.host)",
                )
            return
    yield Finding("ok", f"{host}:{number} is free")


def available_cores(limit: Path = CGROUP_CPU) -> float:
    """Cores that this process may use: its affinity, and the quota of its control group."""
    cores = float(len(os.sched_getaffinity(0)))
    try:
        quota, period = limit.read_text().split()
    except (OSError, ValueError):
        return cores
    return cores if quota == "max" else min(cores, int(quota) / int(period))


def _door(state_dir: Path) -> dict[str, int] | None:
    """Where our daemon says that it listens, while its process is there."""
    try:
        door: dict[str, int] = json.loads((state_dir / "http.json").read_text())
    except (OSError, ValueError):
        return None
    return door if psutil.pid_exists(int(door.get("pid", -1))) else None
