"""The report server gives out charts and reports, and nothing else to anybody."""

import http.client
import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nika_pipelines.operations.report_server import ReportServer, index_page, open_served

SECRET = b"secret of the owner"
SVG = b'<svg xmlns="http://www.w3.org/2000/svg"/>'
PDF = b"%PDF-1.4 a report"


@pytest.fixture
def data(tmp_path: Path) -> Path:
    data = tmp_path / "data"
    report = data / "reports" / "tables" / "sales-1"
    report.mkdir(parents=True)
    (data / "charts").mkdir()
    (report / "report.pdf").write_bytes(PDF)
    (report / "notes.json").write_bytes(SECRET)
    (report / ".hidden.pdf").write_bytes(SECRET)
    (data / "charts" / "sales-1.svg").write_bytes(SVG)
    (data / "ledger.sqlite").write_bytes(SECRET)
    (data / "secret.pdf").write_bytes(SECRET)
    (tmp_path / "outside.pdf").write_bytes(SECRET)
    return data


@pytest.fixture
def port(data: Path) -> Iterator[int]:
    with ReportServer(data, 0) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join()


def ask(
    port: int, path: str, method: str = "GET", host: str | None = "127.0.0.1"
) -> tuple[http.client.HTTPResponse, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    connection.putrequest(method, path, skip_host=True)
    if host is not None:
        connection.putheader("Host", host)
    connection.endheaders()
    response = connection.getresponse()
    content = response.read()
    connection.close()
    return response, content


def test_a_report_and_a_chart_are_served_with_their_types(port: int) -> None:
    response, content = ask(port, "/reports/tables/sales-1/report.pdf")
    assert (response.status, content) == (200, PDF)
    assert response.headers["Content-Type"] == "application/pdf"
    response, content = ask(port, "/charts/sales-1.svg")
    assert (response.status, content) == (200, SVG)
    assert response.headers["Content-Type"] == "image/svg+xml"


def test_head_sends_the_length_and_no_content(port: int) -> None:
    response, content = ask(port, "/reports/tables/sales-1/report.pdf", method="HEAD")
    assert (response.status, content) == (200, b"")
    assert response.headers["Content-Length"] == str(len(PDF))


@pytest.mark.parametrize(
    "path", ["/", "/healthz", "/charts/sales-1.svg", "/reports/tables/sales-1/report.pdf", "/no"]
)
def test_every_answer_forbids_scripts_sniffing_and_stale_copies(port: int, path: str) -> None:
    headers = ask(port, path)[0].headers
    assert headers["Content-Security-Policy"].startswith("default-src 'none'")
    assert "script-src" not in headers["Content-Security-Policy"]
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Cache-Control"] == "no-cache"


@pytest.mark.parametrize(
    "path",
    [
        "/ledger.sqlite",
        "/secret.pdf",
        "/charts/../secret.pdf",
        "/reports/../secret.pdf",
        "/reports/%2e%2e/secret.pdf",
        "/reports/..%2fsecret.pdf",
        "/reports/..%5csecret.pdf",
        "/reports/tables/../../secret.pdf",
        "/reports/./tables/sales-1/report.pdf",
        "/reports//tables/sales-1/report.pdf",
        "/reports/tables/sales-1/report.pdf%00",
        "/reports/tables/sales-1/report.pdf/",
        "/reports/tables/sales-1/notes.json",
        "/reports/tables/sales-1/.hidden.pdf",
        "/reports/tables/sales-1",
        "/reports/",
        "/charts/",
        "/charts/tables/sales-1.svg",
        "/charts/sales-1.pdf",
        "/%",
        "/reports/%ff.pdf",
        "/" + "a" * 5000 + ".pdf",
        "/reports/" + "a" * 5000 + ".pdf",
    ],
)
def test_nothing_outside_the_two_folders_is_ever_sent(port: int, path: str) -> None:
    response, content = ask(port, path)
    assert response.status == 404
    assert SECRET not in content


@settings(max_examples=200)
@given(
    st.lists(
        st.sampled_from(
            ["..", ".", "%2e%2e", "reports", "charts", "data", "secret.pdf", "outside.pdf",
             "tables", "sales-1", "report.pdf", "", "~", "%00", "\\", "%5c", "ledger.sqlite"]
        ),
        max_size=7,
    )
)  # fmt: skip
def test_no_spelling_of_a_path_leaves_the_folders(
    tmp_path_factory: pytest.TempPathFactory, parts: list[str]
) -> None:
    root = tmp_path_factory.getbasetemp() / "spelling"
    (root / "data" / "reports" / "tables" / "sales-1").mkdir(parents=True, exist_ok=True)
    (root / "data" / "reports" / "tables" / "sales-1" / "report.pdf").write_bytes(PDF)
    for place in (root, root / "data"):
        (place / "secret.pdf").write_bytes(SECRET)
        (place / "outside.pdf").write_bytes(SECRET)
    served = open_served(root / "data", "/" + "/".join(parts))
    if served is not None:
        with served.file as file:
            assert file.read() == PDF


def test_links_that_lead_out_are_not_followed(data: Path, port: int) -> None:
    (data / "reports" / "tables" / "link.pdf").symlink_to(data.parent / "outside.pdf")
    (data / "reports" / "folder").symlink_to(data.parent)
    (data / "charts" / "link.svg").symlink_to(data / "secret.pdf")
    for path in ("/reports/tables/link.pdf", "/reports/folder/outside.pdf", "/charts/link.svg"):
        response, content = ask(port, path)
        assert response.status == 404
        assert SECRET not in content


def test_a_pipe_in_the_folder_does_not_hang_the_server(data: Path, port: int) -> None:
    os.mkfifo(data / "charts" / "pipe.svg")
    assert ask(port, "/charts/pipe.svg")[0].status == 404


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "LOCALHOST:3001", "[::1]:1"])
def test_names_of_this_machine_are_answered(port: int, host: str) -> None:
    assert ask(port, "/healthz", host=host)[0].status == 200


@pytest.mark.parametrize(
    "host", [None, "", "evil.example", "127.0.0.1.evil.example", "localhost@evil.example", "[::2]"]
)
def test_a_foreign_name_pointed_at_this_machine_is_refused(port: int, host: str | None) -> None:
    response, content = ask(port, "/reports/tables/sales-1/report.pdf", host=host)
    assert response.status == 421
    assert PDF not in content


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE", "WHAT"])
def test_only_get_and_head_are_answered(port: int, method: str) -> None:
    response, _ = ask(port, "/", method=method)
    assert response.status == 405
    assert response.headers["Allow"] == "GET, HEAD"


@pytest.mark.parametrize("text", [b"\x00\xff\r\n\r\n", b"GET\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n"])
def test_nonsense_gets_an_error_and_the_server_lives_on(port: int, text: bytes) -> None:
    with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
        connection.sendall(text)
        connection.recv(4096)
    assert ask(port, "/healthz")[0].status == 200


def test_the_index_lists_uploads_newest_first_and_escapes_their_names(data: Path) -> None:
    write_ledger(
        data,
        ("sales-1", "tables", "<script>alert(1)</script>.csv", "report_ready", "2026-01-01T10"),
        ("bad-1", "tables", "b\u202ead.csv", "quarantined", "2026-01-02T10"),
    )
    page = index_page(data)
    assert "<script" not in page
    assert "\u202e" not in page
    assert page.index("quarantined") < page.index("report ready")
    assert 'href="/reports/tables/sales-1/report.pdf"' in page


def test_the_index_links_digests_newest_first(data: Path) -> None:
    (data / "reports" / "digest").mkdir()
    for day in ("2026-01-01", "2026-01-02"):
        (data / "reports" / "digest" / f"{day}.pdf").write_bytes(PDF)
    page = index_page(data)
    assert page.index("2026-01-02.pdf") < page.index("2026-01-01.pdf")


def test_the_index_does_without_a_ledger(port: int) -> None:
    response, content = ask(port, "/")
    assert response.status == 200
    assert b"No file has been processed yet" in content


def test_the_index_survives_hostile_ids_in_the_ledger(data: Path) -> None:
    write_ledger(data, ("../../..", "..", "x.csv", "report_ready", "2026-01-01T10"))
    assert "outside" not in index_page(data)


def test_the_index_shows_verdict_figures_and_dataset_of_a_finished_upload(data: Path) -> None:
    summary = {
        "rows": 12_345, "anomalies": 3, "quality_score": 98.4,
        "verdict_level": "attention", "verdict": "All <rows> are usable.",
    }  # fmt: skip
    write_ledger(
        data,
        ("sales-1", "tables", "sales.csv", "report_ready", "2026-01-01T10:20:30Z"),
        known={"sales-1": {"dataset": "north/traffic", "summary": json.dumps(summary)}},
    )
    page = index_page(data)
    for expected in (
        "north/traffic", "12,345", ">3<", ">98<", "Needs attention", "All &lt;rows&gt; are usable.",
        "Received (UTC)", "2026-01-01 10:20:30",
    ):  # fmt: skip
        assert expected in page


def test_the_index_says_why_a_file_was_refused(data: Path) -> None:
    write_ledger(
        data,
        ("bad-1", "tables", "bad.csv", "quarantined", "2026-01-02T10"),
        known={"bad-1": {"error_code": "MAGIC_MISMATCH", "message": "It is <b>png</b>\u202e."}},
    )
    page = index_page(data)
    assert "MAGIC_MISMATCH: It is &lt;b&gt;png&lt;/b&gt;\ufffd." in page


def test_the_index_links_a_duplicate_to_the_report_of_its_original(data: Path) -> None:
    write_ledger(
        data,
        ("sales-2", "tables", "sales.csv", "duplicate", "2026-01-02T10"),
        known={"sales-2": {"duplicate_of": "sales-1"}},
    )
    assert 'href="/reports/tables/sales-1/report.pdf"' in index_page(data)


@pytest.mark.parametrize("summary", ["{", "[1]", "null", '{"rows": "<i>", "anomalies": true}'])
def test_the_index_survives_a_summary_it_cannot_read(data: Path, summary: str) -> None:
    write_ledger(
        data,
        ("sales-1", "tables", "sales.csv", "report_ready", "2026-01-01T10"),
        known={"sales-1": {"summary": summary, "duplicate_of": "../../.."}},
    )
    page = index_page(data)
    assert "report.pdf" in page
    assert "<i>" not in page


def test_a_taken_port_is_said_and_the_program_ends(data: Path, port: int) -> None:
    command = [sys.executable, "-m", "nika_pipelines.operations.report_server"]
    done = subprocess.run(
        [*command, "--data", str(data), "--port", str(port)],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == 1
    assert f"cannot listen on port {port}" in done.stderr


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_program_is_small_and_ends_where_a_shell_ignores_interrupts(
    data: Path, number: signal.Signals
) -> None:
    command = [sys.executable, "-m", "nika_pipelines.operations.report_server"]
    ignoring = ["/bin/sh", "-c", "trap '' INT; exec \"$@\"", "sh", *command]
    with subprocess.Popen(
        [*ignoring, "--data", str(data), "--port", "0"], stderr=subprocess.PIPE, text=True
    ) as program:
        try:
            assert program.stderr is not None
            assert "http://127.0.0.1:" in program.stderr.readline()
            assert psutil.Process(program.pid).memory_info().rss < 60_000_000
            program.send_signal(number)
            assert program.wait(10) == 0
        finally:
            program.kill()


def write_ledger(
    data: Path,
    *rows: tuple[str, str, str, str, str],
    known: dict[str, dict[str, str]] | None = None,
) -> None:
    (data / "ledger.sqlite").unlink()
    with sqlite3.connect(data / "ledger.sqlite") as connection:
        columns = "upload_id, feed, original_name, state, received_at"
        more = "dataset, duplicate_of, error_code, message, summary"
        connection.execute(f"CREATE TABLE uploads ({columns}, {more})")
        connection.executemany(f"INSERT INTO uploads ({columns}) VALUES (?, ?, ?, ?, ?)", rows)
        for upload_id, changes in (known or {}).items():
            for name, value in changes.items():
                sql = f"UPDATE uploads SET {name} = ? WHERE upload_id = ?"
                connection.execute(sql, (value, upload_id))
    connection.close()
