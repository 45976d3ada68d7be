"""The whole service as a user runs it: drop a file, wait, read the PDF; and survive kill -9."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest
from pypdf import PdfReader

from nika_pipelines.intake.states import UploadState
from resources.ledger import open_ledger

ROOT = Path(__file__).resolve().parents[2]
NIKA = Path(sys.executable).with_name("nika")
UP_SECONDS = 120


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for(what: str, test: Callable[[], Any], seconds: float) -> Any:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        found = test()
        if found:
            return found
        time.sleep(0.1)
    pytest.fail(f"waited {seconds:g} s in vain for {what}")


@dataclass
class Service:
    """A running `nika up` on a data folder of its own."""

    data: Path
    environment: dict[str, str]
    process: subprocess.Popen[bytes]

    def nika(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        command = [str(NIKA), *arguments]
        return subprocess.run(
            command,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
            cwd=self.data,
        )

    def states(self) -> Counter[str]:
        with open_ledger(self.data / "ledger.sqlite") as ledger:
            return Counter(upload.state.value for upload in ledger.uploads())

    def workers(self) -> list[psutil.Process]:
        """The processes that hold a run's lock."""
        found = []
        for process in psutil.Process(self.process.pid).children(recursive=True):
            try:
                if any(file.path.endswith(".run") for file in process.open_files()):
                    found.append(process)
            except psutil.Error:
                continue  # it ended between the listing and the look
        return found

    def urls(self) -> dict[str, Any]:
        document: dict[str, Any] = json.loads((self.data / "locks" / "up.json").read_text())
        return document


@contextmanager
def running(data: Path) -> Iterator[Service]:
    data.mkdir(parents=True, exist_ok=True)
    environment = os.environ | {
        "NIKA_DATA": str(data),
        "NIKA_WEB_PORT": str(free_port()),
        "NIKA_REPORTS_PORT": str(free_port()),
    }
    log = (data / "up.log").open("wb")
    process = subprocess.Popen(
        [str(NIKA), "up"], env=environment, stdout=log, stderr=log, start_new_session=True
    )
    service = Service(data, environment, process)
    try:
        wait_for(
            "both addresses",
            lambda: (data / "up.log").read_bytes().count(b"http://") >= 2,
            UP_SECONDS,
        )
        yield service
    finally:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(60)
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
            log.close()


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with running(tmp_path_factory.mktemp("service") / "data") as service:
        yield service


def table(rows: int, seed: int) -> str:
    body = "".join(f"{n},{(n * 7919 + seed) % 101 / 10},{n % 5}\n" for n in range(rows))
    return f"number,amount,kind\n{body}"


@pytest.mark.timeout(300)
def test_a_dropped_file_becomes_a_pdf_that_the_report_server_shows(
    service: Service, tmp_path: Path
) -> None:
    source = tmp_path / "sales.csv"
    source.write_text(table(1_000, seed=1))
    dropped = service.nika("drop", str(source), "--wait", "120", "--json")
    assert dropped.returncode == 0, dropped.stderr
    (upload,) = json.loads(dropped.stdout)
    assert upload["state"] == "report_ready"
    (report,) = upload["reports"]
    text = "".join(page.extract_text() for page in PdfReader(report).pages)
    assert "sales" in text
    relative = Path(report).relative_to(service.data)
    address = f"http://127.0.0.1:{service.environment['NIKA_REPORTS_PORT']}/{relative}"
    with urllib.request.urlopen(address) as answer:
        assert answer.headers["Content-Type"] == "application/pdf"
        assert answer.read(5) == b"%PDF-"


@pytest.mark.timeout(300)
def test_a_copied_file_is_taken_and_a_bad_one_beside_it_is_quarantined(service: Service) -> None:
    inbox = service.data / "inbox" / "tables"
    before = service.states()
    (inbox / "good.csv").write_text(table(100, seed=2))
    (inbox / "bad.csv").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 8)
    (inbox / "link.csv").symlink_to("/etc/passwd")

    def done() -> bool:
        now = service.states()
        return (
            now["report_ready"] > before["report_ready"]
            and now["quarantined"] > before["quarantined"]
        )

    wait_for("both files", done, 120)
    (reason,) = (service.data / "quarantine").glob("bad-*/reason.json")
    assert json.loads(reason.read_text())["error_code"] == "MAGIC_MISMATCH"
    with open_ledger(service.data / "ledger.sqlite") as ledger:
        assert [notice.code for notice in ledger.inbox.notices()] == ["LINK"]
    (inbox / "link.csv").unlink()


@pytest.mark.timeout(400)
def test_every_file_completes_exactly_once_after_the_worker_is_killed(service: Service) -> None:
    inbox = service.data / "inbox" / "tables"
    for n in range(12):
        draft = inbox / f"stream{n:02d}.csv.part"
        draft.write_text(table(2_000, seed=100 + n))
        draft.rename(inbox / f"stream{n:02d}.csv")

    def mine() -> list[Any]:
        with open_ledger(service.data / "ledger.sqlite") as ledger:
            return [one for one in ledger.uploads() if one.original_name.startswith("stream")]

    def in_the_middle() -> bool:
        states = Counter(one.state for one in mine())
        return states[UploadState.REPORT_READY] >= 1 and states[UploadState.RECEIVED] >= 3

    wait_for("the middle of the batch", in_the_middle, 120)
    workers = service.workers()
    assert workers
    for worker in workers:
        worker.kill()
    wait_for(
        "every file",
        lambda: len(mine()) == 12 and all(one.is_final for one in mine()),
        180,
    )
    assert Counter(one.state for one in mine()) == {UploadState.REPORT_READY: 12}
    assert any(one.worker_deaths == 1 for one in mine())
    made = materialisations(service, "table_report")
    assert {one.upload_id: made[one.upload_id] for one in mine()} == {
        one.upload_id: 1 for one in mine()
    }
    balance = service.nika("doctor", "--json")
    assert balance.returncode == 0, balance.stdout


def materialisations(service: Service, asset: str) -> Counter[str]:
    path = json.dumps([asset])
    query = (
        f"{{ assetOrError(assetKey: {{path: {path}}}) {{ ... on Asset {{ "
        "assetMaterializations(limit: 1000) { partition } } } }"
    )
    request = urllib.request.Request(
        f"{service.urls()['web_url'].rstrip('/')}/graphql",
        data=json.dumps({"query": query}).encode(),
        headers={"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request) as answer:
        found = json.load(answer)["data"]["assetOrError"]["assetMaterializations"]
    return Counter(one["partition"] for one in found)
