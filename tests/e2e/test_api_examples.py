"""Every example of docs/api.md answers as the page says, on a data folder with one finished upload."""

import json
import os
import re
import shlex
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from nika_pipelines.environment import prepare_environment
from nika_pipelines.settings import PROJECT_ROOT, Settings

pytestmark = pytest.mark.e2e

PAGE = (PROJECT_ROOT / "docs" / "api.md").read_text(encoding="utf-8")
NIKA = Path(sys.executable).with_name("nika")
START_S = 60


def _examples(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE, flags=re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Served:
    """The two servers of `nika up`, without its daemon, and the upload in their data folder."""

    data: Path
    web_port: int
    reports_port: int
    upload_id: str

    def get(self, url: str, headers: dict[str, str] | None = None, body: str | None = None) -> str:
        """Answer to a request that names the usual ports."""
        here = url.replace(":3000", f":{self.web_port}").replace(":3001", f":{self.reports_port}")
        content = None if body is None else body.encode()
        request = urllib.request.Request(here, data=content, headers=headers or {})
        with urllib.request.urlopen(request, timeout=30) as answer:
            return str(answer.read().decode())

    def graphql(self, query: str) -> dict[str, Any]:
        """Data of a GraphQL answer without errors."""
        body = json.dumps({"query": query, "variables": {"upload": self.upload_id}})
        headers = {"Content-Type": "application/json"}
        answer = json.loads(self.get("http://127.0.0.1:3000/graphql", headers, body))
        assert "errors" not in answer, answer["errors"]
        return dict(answer["data"])


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    data = tmp_path_factory.mktemp("api") / "data"
    variables = {**os.environ, "NIKA_DATA": str(data)}
    prepare_environment(Settings(data=data), variables)
    sample = PROJECT_ROOT / "data" / "samples" / "messy_sales.csv"
    done = subprocess.run(
        [NIKA, "run", sample, "--json"],
        env=variables, cwd=data, check=True, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    web_port, reports_port = _free_ports(2)
    web = ["-m", "dagster_webserver", "-p", str(web_port), "-w", f"{PROJECT_ROOT}/workspace.yaml"]
    reports = [
        *("-m", "nika_pipelines.operations.report_server"),
        *("--data", str(data), "--port", str(reports_port)),
    ]
    # A `.env` in the working directory would win over these variables: not the project's folder.
    servers = [
        subprocess.Popen(
            [sys.executable, *arguments],
            # Where a shell had SIGINT ignored, Dagster ignores SIGTERM as well.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509 - no threads yet
            env=variables, cwd=data / "dagster", stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )
        for arguments in (web, reports)
    ]  # fmt: skip
    try:
        running = Served(data, web_port, reports_port, json.loads(done.stdout)[0]["upload_id"])
        for url in ("http://127.0.0.1:3000/server_info", "http://127.0.0.1:3001/healthz"):
            _wait_for(running, url)
        yield running
    finally:
        for server in servers:
            server.terminate()
        for server in servers:
            try:
                server.wait(30)
            except subprocess.TimeoutExpired:
                server.kill()
                raise


def _free_ports(count: int) -> list[int]:
    probes = [socket.socket() for _ in range(count)]
    for probe in probes:
        probe.bind(("127.0.0.1", 0))
    ports = [int(probe.getsockname()[1]) for probe in probes]
    for probe in probes:
        probe.close()
    return ports


def _wait_for(served: Served, url: str) -> None:
    deadline = time.monotonic() + START_S
    while True:
        try:
            served.get(url)
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.2)
        else:
            return


def test_every_curl_example_answers(served: Served) -> None:
    examples = _examples("bash")
    assert len(examples) >= 3
    for example in examples:
        command = shlex.split(example.replace("\\\n", " "))
        assert command[:2] == ["curl", "-s"], example
        url, *options = command[2:]
        given = dict(zip(options[::2], options[1::2], strict=True))
        name, _, value = given.get("-H", "").partition(": ")
        answer = served.get(url, {name: value} if name else {}, given.get("-d"))
        assert answer
        assert "errors" not in answer, answer


def test_the_report_query_finds_the_report(served: Served) -> None:
    found = served.graphql(_query("LastReports"))["assetOrError"]["assetMaterializations"]
    assert found[0]["partition"] == served.upload_id
    assert found[0]["metadataEntries"]


def test_the_check_query_finds_passed_checks(served: Served) -> None:
    node = served.graphql(_query("Checks"))["assetNodeOrError"]
    names = {check["name"] for check in node["assetChecksOrError"]["checks"]}
    assert names == {"matches_schema", "rows_balance", "rejects_are_few"}
    executions = [
        c["executionForLatestMaterialization"] for c in node["assetChecksOrError"]["checks"]
    ]
    assert all(execution["evaluation"] for execution in executions)


def test_the_progress_query_counts_the_upload_in_every_asset(served: Served) -> None:
    nodes = served.graphql(_query("Progress"))["assetNodes"]
    assert len(nodes) == 5
    assert {node["partitionStats"]["numMaterialized"] for node in nodes} == {1}


def test_the_run_query_finds_the_run(served: Served) -> None:
    runs = served.graphql(_query("Runs"))["runsOrError"]["results"]
    assert [run["status"] for run in runs] == ["SUCCESS"]


def test_the_mutation_queues_a_run_for_the_upload(served: Served) -> None:
    launched = served.graphql(_query("MakeReportAgain"))["launchRun"]
    assert launched["__typename"] == "LaunchRunSuccess", launched


def test_the_sql_example_finds_the_upload(served: Served) -> None:
    import duckdb

    (query,) = _examples("sql")
    with duckdb.connect(str(served.data / "warehouse" / "nika.duckdb"), read_only=True) as reader:
        rows = reader.execute(query).fetchall()
    assert [row[0] for row in rows] == [served.upload_id]


def _query(name: str) -> str:
    (query,) = [text for text in _examples("graphql") if f" {name}" in text.splitlines()[0]]
    return str(query)
