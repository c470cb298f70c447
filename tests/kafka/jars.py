"""The broker's jars: fetched by Maven as pom.xml pins them, once for all test processes, into ``.kafka/``."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
from pathlib import Path

from filelock import FileLock

ROOT = Path(__file__).parents[2]
POM = Path(__file__).with_name("pom.xml")
CACHE = ROOT / ".kafka"
JAVA = 17
"""The oldest Java that Kafka 4's broker runs on."""
MEND = "run `make kafka-needs`, which says what to install"


def java() -> str:
    """Path of the java that is to be used: JAVA_HOME's, else the one on PATH.

    Raises FileNotFoundError where there is none that is new enough.
    """
    home = os.environ.get("JAVA_HOME")
    found = shutil.which("java", path=str(Path(home, "bin"))) if home else shutil.which("java")
    if found is None:
        raise FileNotFoundError(f"no java {f'in JAVA_HOME={home}' if home else 'on PATH'}: {MEND}")
    said = subprocess.run([found, "-version"], capture_output=True, text=True, check=False, timeout=60).stderr
    version = re.search(r'version "(\d+)', said)
    if version is None or int(version[1]) < JAVA:
        raise FileNotFoundError(f"{found} is not Java >= {JAVA} (it says: {said.strip()[:80]!r}): {MEND}")
    return found


def folder() -> Path:
    """Where the jars of this pom.xml are, or will be."""
    return CACHE / f"jars-{hashlib.sha256(POM.read_bytes()).hexdigest()[:16]}"


def lacking() -> str | None:
    """What is missing here to run a broker from jars, and the mend; None where nothing is."""
    try:
        java()
    except FileNotFoundError as error:
        return str(error)
    if not folder().is_dir() and shutil.which("mvn") is None:
        return f"no mvn (Apache Maven) on PATH to fetch the broker's jars with: {MEND}"
    return None


def classpath() -> str:
    """The class path of a broker; the first caller fetches the jars (43 MB), others wait for it.

    Raises RuntimeError with Maven's own words where that fails.
    """
    CACHE.mkdir(exist_ok=True)
    with FileLock(CACHE / "jars.lock"):
        if not folder().is_dir():
            _fetch(folder())
    return f"{folder()}/*"


def _fetch(target: Path) -> None:
    part = CACHE / "fetching"
    shutil.rmtree(part, ignore_errors=True)
    command = ["mvn", "-B", "-q", "-ntp", "-f", str(POM), "dependency:copy-dependencies"]
    command += [f"-DoutputDirectory={part}", "-DincludeScope=runtime"]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"Maven could not fetch the broker's jars:\n{done.stdout[-3000:]}")
    part.rename(target)
