"""Serves charts and reports to the browser on this machine, and nothing else.

Only ``/charts/<name>.svg``, PDF and HTML files below ``/reports/``, a list of the newest reports
at ``/`` and ``/healthz``. File names and paths are hostile: nothing outside the two folders is
ever opened, by no spelling and through no link, and pages run no script. Imports stay light,
because this process lives as long as `nika up`.
"""

import argparse
import contextlib
import html
import json
import os
import re
import signal
import sqlite3
import stat
import sys
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, BinaryIO, ClassVar
from urllib.parse import quote, unquote, urlsplit

from nika_pipelines.intake.names import display_name

LOOPBACK = "127.0.0.1"
_NEWEST = 100
_NEWEST_DIGESTS = 14
_CHUNK = 1 << 16
_HOST = re.compile(r"(?:127\.0\.0\.1|localhost|\[::1\])(?::\d{1,5})?", re.IGNORECASE)

_PAGE_POLICY = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
_POLICIES = {
    ".html": f"{_PAGE_POLICY}; img-src 'self' data:; style-src 'self' 'unsafe-inline'",
    ".svg": f"{_PAGE_POLICY}; style-src 'unsafe-inline'; sandbox",
    # The browser's own PDF viewer is a page with styles around an embedded object.
    ".pdf": f"{_PAGE_POLICY}; object-src 'self'; style-src 'unsafe-inline'",
    ".txt": _PAGE_POLICY,
}
_CONTENT_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".svg": "image/svg+xml",
    ".pdf": "application/pdf",
    ".txt": "text/plain; charset=utf-8",
}
_LEVELS = {"good": "Good", "attention": "Needs attention", "bad": "Do not use unchecked"}
_SERVED = {"charts": frozenset({".svg"}), "reports": frozenset({".pdf", ".html"})}

_STYLE = (
    "body{font:15px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:84rem;padding:0 1rem;"
    "color:#1d2733;background:#fff}table{border-collapse:collapse;width:100%}"
    "th{text-align:left;color:#5b6875;font-weight:600}"
    "td,th{padding:.35rem .75rem .35rem 0;border-bottom:1px solid #dfe4ea;vertical-align:top;"
    "overflow-wrap:anywhere}td:first-child{min-width:9rem}td.n,th.n{text-align:right}.n,.w,th{white-space:nowrap}"
    "small{display:block;color:#5b6875;max-width:34rem}.r a{white-space:nowrap}a{color:#0b57a4}"
    "@media(prefers-color-scheme:dark){body{color:#e4e9ee;background:#14181d}"
    "td,th{border-color:#333c46}th,small{color:#9aa7b4}a{color:#7db7f0}}"
)


@dataclass(frozen=True)
class ServedFile:
    """An open file inside the two folders, with its size and suffix."""

    file: BinaryIO
    size_bytes: int
    suffix: str


class ReportServer(ThreadingHTTPServer):
    """The server of one data folder, on loopback only."""

    daemon_threads = True

    def __init__(self, data: Path, port: int) -> None:
        """Listen on this port; 0 takes any.

        Raises:
            OSError: the port is taken.
        """
        self.data = data
        super().__init__((LOOPBACK, port), _Handler)


def open_served(data: Path, url_path: str) -> ServedFile | None:
    """Open the file that a URL path names, or None when it names nothing that may be served.

    Args:
        data: the data folder.
        url_path: path of the request as sent, still percent-encoded.
    """
    path = _resolve(data, url_path)
    if path is None:
        return None
    try:
        # O_NONBLOCK: opening a pipe somebody put there must not hang.
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return None
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode):
        os.close(descriptor)
        return None
    return ServedFile(os.fdopen(descriptor, "rb"), status.st_size, path.suffix.lower())


def index_page(data: Path) -> str:
    """The page that lists the newest uploads with their reports, and the newest digests."""
    rows = "".join(_index_row(data, row) for row in _newest_uploads(data))
    uploads = (
        "<table><thead><tr><th>File<th>Dataset<th>Feed<th>State<th>Verdict<th class=n>Rows"
        "<th class=n>Anomalies<th class=n>Quality<th>Received (UTC)<th>Report</thead>"
        f"<tbody>{rows}</tbody></table>"
        if rows
        else "<p>No file has been processed yet.</p>"
    )
    digests = "".join(f"<li>{_link(path, data, path.stem)}</li>" for path in _digests(data))
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Nika reports</title>'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<style>{_STYLE}</style></head><body><h1>Newest reports</h1>{uploads}"
        + (f"<h2>Daily digests</h2><ul>{digests}</ul>" if digests else "")
        + "</body></html>"
    )


def main(arguments: list[str] | None = None) -> int:
    """Serve until SIGINT or SIGTERM."""
    parser = argparse.ArgumentParser(description="Serve charts and reports on this machine.")
    parser.add_argument("--data", type=Path, required=True, help="the data folder")
    parser.add_argument("--port", type=int, required=True, help="port on 127.0.0.1")
    options = parser.parse_args(arguments)
    try:
        server = ReportServer(options.data.absolute(), options.port)
    except OSError as error:
        sys.stderr.write(f"cannot listen on port {options.port}: {error.strerror}\n")
        return 1
    # Both explicitly: a shell starts background programs with SIGINT ignored.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with server, contextlib.suppress(KeyboardInterrupt):
        sys.stderr.write(f"reports of {options.data} on http://{LOOPBACK}:{server.server_port}\n")
        server.serve_forever()
    return 0


class _Handler(BaseHTTPRequestHandler):
    """Answers GET and HEAD."""

    server: ReportServer
    protocol_version = "HTTP/1.1"
    server_version = "nika"
    sys_version = ""
    timeout = 30
    allowed: ClassVar[str] = "GET, HEAD"

    def do_GET(self) -> None:
        """Answer with headers and content."""
        self._answer()

    def do_HEAD(self) -> None:
        """Answer with the same headers and no content."""
        self._answer()

    def __getattr__(self, name: str) -> object:
        """Any other method is known and refused, where the base class says "unsupported"."""
        if name.startswith("do_"):
            return self._refuse_method
        raise AttributeError(name)

    def _answer(self) -> None:
        if not self._host_is_local():
            self._send_text(HTTPStatus.MISDIRECTED_REQUEST, "this server answers to localhost only")
            return
        path = urlsplit(self.path).path
        if path == "/healthz":
            self._send_text(HTTPStatus.OK, "ok")
        elif path == "/":
            self._send_bytes(HTTPStatus.OK, ".html", index_page(self.server.data).encode())
        else:
            self._send_file(path)

    def _host_is_local(self) -> bool:
        """Whether the request names this machine.

        A hostile site can point its own name at 127.0.0.1 and read what a local server answers;
        its name then stands in the Host header.
        """
        hosts = self.headers.get_all("Host", [])
        return len(hosts) == 1 and _HOST.fullmatch(hosts[0].strip()) is not None

    def _send_file(self, path: str) -> None:
        served = open_served(self.server.data, path)
        if served is None:
            self._send_text(HTTPStatus.NOT_FOUND, "there is nothing here")
            return
        with served.file as file:
            self._send_headers(HTTPStatus.OK, served.suffix, served.size_bytes)
            if self.command == "HEAD":
                return
            left = served.size_bytes
            while left and (chunk := file.read(min(_CHUNK, left))):
                self.wfile.write(chunk)
                left -= len(chunk)
            # A file that shrank leaves the promised length unmet: end the connection.
            self.close_connection = self.close_connection or left > 0

    def _refuse_method(self) -> None:
        self.close_connection = True  # whatever body comes with it is not read
        self._send_text(HTTPStatus.METHOD_NOT_ALLOWED, "only GET and HEAD are answered")

    def _send_text(self, status: HTTPStatus, text: str) -> None:
        self._send_bytes(status, ".txt", f"{text}\n".encode())

    def _send_bytes(self, status: HTTPStatus, suffix: str, content: bytes) -> None:
        self._send_headers(status, suffix, len(content))
        if self.command != "HEAD":
            self.wfile.write(content)

    def _send_headers(self, status: HTTPStatus, suffix: str, length: int) -> None:
        self.send_response(status)
        self.send_header("Content-Type", _CONTENT_TYPES[suffix])
        self.send_header("Content-Length", str(length))
        self.send_header("Content-Security-Policy", _POLICIES[suffix])
        self.send_header("X-Content-Type-Options", "nosniff")
        self.send_header("Referrer-Policy", "no-referrer")
        self.send_header("Cache-Control", "no-cache")
        if status == HTTPStatus.METHOD_NOT_ALLOWED:
            self.send_header("Allow", self.allowed)
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """Answer a request that could not be parsed without repeating any of it."""
        del message, explain
        self.close_connection = True
        status = HTTPStatus(code)
        self._send_text(status, status.phrase)

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Log refusals only; `log_message` of the base class escapes control characters."""
        if isinstance(code, int) and code >= HTTPStatus.BAD_REQUEST:
            super().log_request(code, size)


def _resolve(data: Path, url_path: str) -> Path | None:
    """The real path that a URL path names inside its folder; None when it leaves the folder."""
    try:
        parts = unquote(url_path, errors="strict").split("/")[1:]
    except UnicodeDecodeError:
        return None
    if len(parts) < 2 or any(_is_suspicious(part) for part in parts):
        return None
    top, *rest = parts
    suffixes = _SERVED.get(top, frozenset())
    if Path(rest[-1]).suffix.lower() not in suffixes or (top == "charts" and len(rest) != 1):
        return None
    try:
        root = (data / top).resolve(strict=True)
        path = root.joinpath(*rest).resolve(strict=True)
    except (OSError, RuntimeError):
        return None
    # A link may give the file another name: what is served is judged by where it really lies.
    return path if path.is_relative_to(root) and path.suffix.lower() in suffixes else None


def _is_suspicious(part: str) -> bool:
    return not part or part.startswith(".") or "\\" in part or not part.isprintable()


def _newest_uploads(data: Path) -> list[sqlite3.Row]:
    """What the page shows of the newest uploads, newest first; empty without a ledger."""
    query = (
        "SELECT upload_id, feed, original_name, dataset, state, received_at, duplicate_of,"
        " error_code, message, summary FROM uploads ORDER BY received_at DESC LIMIT ?"
    )
    ledger = f"file:{quote(str(data / 'ledger.sqlite'))}?mode=ro"
    try:
        with contextlib.closing(sqlite3.connect(ledger, uri=True, timeout=5)) as connection:
            connection.row_factory = sqlite3.Row
            return connection.execute(query, (_NEWEST,)).fetchall()
    except sqlite3.Error:
        return []  # no ledger yet; `nika doctor` says what is wrong with a broken one


def _index_row(data: Path, row: sqlite3.Row) -> str:
    summary = _summary(row["summary"])
    problem = ": ".join(text for text in (row["error_code"], row["message"]) if text)
    level = str(summary.get("verdict_level") or "")
    return (
        f"<tr><td>{_text(row['original_name'])}<td>{_text(row['dataset'])}<td class=w>{_text(row['feed'])}"
        f"<td>{_text(row['state'].replace('_', ' '))}{_small(problem)}"
        f"<td>{_text(_LEVELS.get(level, level))}{_small(summary.get('verdict'))}"
        f"<td class=n>{_figure(summary.get('rows'))}"
        f"<td class=n>{_figure(summary.get('anomalies'))}"
        f"<td class=n>{_figure(summary.get('quality_score'))}"
        f"<td>{_text(row['received_at'][:19].replace('T', ' '))}<td class=r>{_report_cell(data, row)}"
    )


def _summary(stored: object) -> dict[str, Any]:
    """Verdict and headline figures of a finished upload; empty for any other."""
    try:
        summary = json.loads(stored) if isinstance(stored, str) else None
    except ValueError:
        return {}  # the list is still worth showing
    return summary if isinstance(summary, dict) else {}


def _text(text: object) -> str:
    return html.escape(display_name(str(text or "")))


def _small(text: object) -> str:
    return f"<small>{_text(text)}</small>" if text else ""


def _figure(value: object) -> str:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return ""
    return f"{value:,}" if isinstance(value, int) else f"{value:,.0f}"


def _report_cell(data: Path, row: sqlite3.Row) -> str:
    """Links to the upload's reports; those of the original for a file that came again."""
    links = _report_links(data, row["feed"], row["upload_id"])
    original = row["duplicate_of"]
    if links or not original:
        return links
    return _report_links(data, row["feed"], original) + _small(f"of the original, {original}")


def _report_links(data: Path, feed: str, upload_id: str) -> str:
    if any("/" in part or _is_suspicious(part) for part in (feed, upload_id)):
        return ""
    documents = _documents(data / "reports" / feed / upload_id)
    return ", ".join(_link(path, data, path.name) for path in documents)


def _documents(folder: Path) -> list[Path]:
    suffixes = _SERVED["reports"]
    try:
        return sorted(
            path
            for path in folder.iterdir()
            if path.suffix.lower() in suffixes and not _is_suspicious(path.name)
        )
    except OSError:
        return []  # nothing was reported


def _digests(data: Path) -> list[Path]:
    return _documents(data / "reports" / "digest")[::-1][:_NEWEST_DIGESTS]


def _link(path: Path, data: Path, text: str) -> str:
    target = quote(path.relative_to(data).as_posix())
    return f'<a href="/{html.escape(target)}">{html.escape(display_name(text))}</a>'


if __name__ == "__main__":
    sys.exit(main())
