"""A real Flink cluster on loopback: a JobManager, TaskManagers, Beam's job server and a worker pool, each a process."""

import contextlib
import http.client
import json
import shutil
import socket
import subprocess
import urllib.request
from pathlib import Path
from typing import Any

from tests.conftest import ROOT, missing
from tests.support.once import locked
from tests.support.servers import free_port, listens, wait_until

POM = ROOT / "tests" / "engines" / "flink" / "pom.xml"
JARS = ROOT / ".tools" / "flink-1.19-beam-2.62.0"
COPY = "org.apache.maven.plugins:maven-dependency-plugin:3.6.1:copy-dependencies"

JOB_MANAGER = "org.apache.flink.runtime.entrypoint.StandaloneSessionClusterEntrypoint"
TASK_MANAGER = "org.apache.flink.runtime.taskexecutor.TaskManagerRunner"
JOB_SERVER = POM.with_name("JobServer.java")

OPENED = ("java.lang", "java.net", "java.io", "java.nio", "java.text", "java.time", "java.util", "java.util.concurrent")
"""Packages of Java itself that Flink's serialisers reach into, as the scripts of its distribution open them."""

SHORT_LIVED = ("-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1")
"""Java's options for processes of some minutes: its best compiler costs them more than their work, half of all time."""

SLOTS = 2
HOSTS = ("127.0.0.1", "127.0.0.2")
"""A TaskManager each. All have their ports on the first; what they call `pool` is their own address."""


def installed() -> Path:
    """The folder of all jars, fetched by Maven where it is not there yet."""
    if not shutil.which("javac"):
        missing("no JDK on the PATH, which runs a Flink cluster")
    with locked(JARS):
        if not JARS.exists():
            maven = shutil.which("mvn") or missing("no Maven on the PATH, which fetches a Flink cluster")
            fetched = JARS.with_suffix(".fetched")
            subprocess.run([maven, "-q", "-B", "-C", "-f", str(POM), COPY, f"-DoutputDirectory={fetched}"], check=True)
            fetched.rename(JARS)
    return JARS


class Cluster:
    """Its processes, what it says of itself, and the flags that send a job there."""

    def __init__(self, folder: Path, rest: int, job_port: int) -> None:
        self._folder = folder
        self._jars = installed()
        self.rest, self.job_port = rest, job_port
        self._processes: list[subprocess.Popen[bytes]] = []
        self._task_managers: dict[str, subprocess.Popen[bytes]] = {}

    def start(self) -> None:
        """Start all, and wait for all."""
        folder = self._folder / "conf"
        folder.mkdir(parents=True)
        (folder / "config.yaml").write_text("".join(f"{name}: {value}\n" for name, value in self._configured().items()))
        self._java("job_manager", JOB_MANAGER, "--configDir", str(folder))
        for host in HOSTS:
            (self._folder / host).write_text(f"127.0.0.1 localhost {socket.gethostname()}\n{host} pool\n")
            self._start_task_manager(host)
        ports = {"job": self.job_port, "artifact": free_port(), "expansion": free_port()}
        named = [f"--{name}-port={port}" for name, port in ports.items()]
        artifacts = f"--artifacts-dir={self._folder / 'artifacts'}"
        self._java("job_server", str(JOB_SERVER), f"--flink-master=127.0.0.1:{self.rest}", artifacts, *named)
        awaited = (self.rest, *ports.values())
        wait_until(lambda: self._all_run() and all(map(listens, awaited)), "JobManager and job server")
        self._wait_for_task_managers()

    def kill_task_manager(self) -> None:
        """Kill the one on the last host."""
        self._task_managers[HOSTS[-1]].kill()

    def replace_task_manager(self) -> None:
        """Start another in its place, and wait until there are as many as before."""
        self._start_task_manager(HOSTS[-1])
        self._wait_for_task_managers()

    def flags(self, *environment: str) -> list[str]:
        """Beam's flags for a job on all hosts, with workers in this environment: one host has slots enough, too."""
        where = [f"--job_endpoint=localhost:{self.job_port}", f"--flink_master=localhost:{self.rest}"]
        return ["--runner=FlinkRunner", *where, f"--parallelism={len(HOSTS)}", *environment]

    def jobs(self) -> list[str]:
        """The jobs so far, the newest last."""
        found = sorted(self._ask("jobs/overview")["jobs"], key=lambda job: job["start-time"])
        return [job["jid"] for job in found]

    def cancel(self, job: str) -> None:
        """End a job."""
        with contextlib.closing(http.client.HTTPConnection("127.0.0.1", self.rest, timeout=10)) as connection:
            connection.request("PATCH", f"/jobs/{job}")
            assert connection.getresponse().status == 202

    def read(self, job: str, step: str) -> dict[str, int]:
        """How many elements each TaskManager read for the step of a job."""
        vertex = next(vertex for vertex in self._ask(f"jobs/{job}")["vertices"] if step in vertex["name"])
        found = self._ask(f"jobs/{job}/vertices/{vertex['id']}/taskmanagers")["taskmanagers"]
        return {each["taskmanager-id"]: each["metrics"]["read-records"] for each in found}

    def stop(self) -> None:
        """End all processes at once."""
        for process in self._processes:
            process.kill()
            process.wait()

    def said(self, name: str) -> str:
        """The log of a process."""
        return (self._folder / f"{name}.log").read_text()

    def _start_task_manager(self, host: str) -> None:
        names = f"-Djdk.net.hosts.file={self._folder / host}"
        where = ["--configDir", str(self._folder / "conf")]
        self._task_managers[host] = self._java(f"task_manager_{host}", names, TASK_MANAGER, *where)

    def _all_run(self) -> bool:
        ended = [process.args for process in self._processes if process.poll() is not None]
        assert not ended, f"processes that ended: {ended}"
        return True

    def _wait_for_task_managers(self) -> None:
        def registered() -> bool:
            ended = [host for host, process in self._task_managers.items() if process.poll() is not None]
            assert not ended, f"TaskManagers that ended: {ended}"
            return len(self._ask("taskmanagers")["taskmanagers"]) == len(HOSTS)

        wait_until(registered, "TaskManagers")

    def _configured(self) -> dict[str, str]:
        """Small processes on loopback, jobs spread over all of them, and a dead one found out in seconds."""
        sizes = {
            "taskmanager.memory.task.heap.size": "256m",
            "taskmanager.memory.task.off-heap.size": "0m",
            "taskmanager.memory.managed.size": "128m",
            "taskmanager.memory.network.min": "256m",
            "taskmanager.memory.network.max": "256m",
            "taskmanager.memory.framework.heap.size": "128m",
            "taskmanager.memory.framework.off-heap.size": "128m",
            "taskmanager.memory.jvm-metaspace.size": "256m",
            "taskmanager.memory.jvm-overhead.min": "128m",
            "taskmanager.memory.jvm-overhead.max": "128m",
            "jobmanager.memory.process.size": "1g",
        }
        places = {
            "jobmanager.rpc.address": "127.0.0.1",
            "jobmanager.rpc.port": str(free_port()),
            "rest.address": "127.0.0.1",
            "rest.port": str(self.rest),
            "taskmanager.host": "127.0.0.1",
            "io.tmp.dirs": str(self._folder),
        }
        return sizes | places | {
            "taskmanager.numberOfTaskSlots": str(SLOTS),
            "taskmanager.cpu.cores": "1.0",
            "taskmanager.load-balance.mode": "SLOTS",
            "restart-strategy.type": "fixed-delay",
            "restart-strategy.fixed-delay.attempts": "3",
            "restart-strategy.fixed-delay.delay": "1s",
            "heartbeat.interval": "1000",
            "heartbeat.timeout": "6000",
            # Beam's classes are on the cluster's own path: a job need not load them anew.
            "classloader.resolve-order": "parent-first",
        }  # fmt: skip

    def _java(self, name: str, *command: str) -> subprocess.Popen[bytes]:
        opened = [f"--add-opens=java.base/{package}=ALL-UNNAMED" for package in OPENED]
        line = ["java", *SHORT_LIVED, *opened, "-cp", f"{self._jars}/*", *command]
        with (self._folder / f"{name}.log").open("ab") as log:
            process = subprocess.Popen(line, cwd=self._folder, stdout=log, stderr=log)
        self._processes.append(process)
        return process

    def _ask(self, path: str) -> Any:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.rest}/{path}", timeout=10) as answer:
                return json.load(answer)
        except OSError:
            return {"taskmanagers": [], "jobs": []}
