"""Commands for the installation itself: up, config, doctor."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from nika_pipelines.commands.console import (
    ExitCode,
    document,
    messages,
    output,
    plain,
    settings_in_force,
    settings_problems,
)

if TYPE_CHECKING:
    from nika_pipelines.operations.doctor import Check
    from nika_pipelines.operations.supervisor import Event
    from nika_pipelines.settings import Settings

_TITLES = {"web": "Web UI ", "reports": "Reports"}
_STATUS_STYLES = {"ok": "green", "warn": "yellow", "fail": "red"}

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document and nothing else.")]


def up() -> None:
    """Watch the inbox and serve the web pages until Ctrl-C."""
    from nika_pipelines.commands.arrivals import told_arrivals
    from nika_pipelines.operations.ports import PortTakenError
    from nika_pipelines.operations.service import AlreadyUpError, serve

    settings = settings_in_force()
    messages().print(
        f"Starting on {plain(settings.data)}; logs are in {plain(settings.data / 'logs')}"
    )
    try:
        with told_arrivals(settings):
            serve(settings, _Announcer(settings))
    except AlreadyUpError as error:
        messages().print(f"[red]{plain(error)}[/]")
        raise typer.Exit(ExitCode.FAILED) from None
    except PortTakenError as error:
        messages().print(f"[red]{plain(error)}.[/] {_port_advice(error.port, settings)}")
        raise typer.Exit(ExitCode.FAILED) from None
    messages().print("Stopped.")


def config(as_json: Json = False) -> None:
    """Show every setting in force, its unit, default and environment variable."""
    settings = settings_in_force()
    with document(as_json) as emit:
        records = _setting_records(settings)
        emit(records)
        if not as_json:
            _print_settings(records)


def doctor(as_json: Json = False) -> None:
    """Check the installation, the data folder and that no file was lost."""
    from nika_pipelines.operations.doctor import worst

    with document(as_json) as emit:
        checks = _checks()
        status = worst(checks)
        emit({"status": status, "checks": [vars(check) for check in checks]})
        if not as_json:
            _print_checks(checks)
        raise typer.Exit(ExitCode.FAILED if status == "fail" else ExitCode.DONE)


class _Announcer:
    """Tells on the terminal what the service does; addresses go to stdout."""

    def __init__(self, settings: "Settings") -> None:
        self._settings = settings
        self._waiting = set(_TITLES)

    def __call__(self, event: "Event") -> None:
        name = event.child.name
        if event.kind == "ready" and name in _TITLES:
            output().print(f"{_TITLES[name]}  {event.child.url}")
            self._note_ready(name)
        elif event.kind == "exited":
            messages().print(f"[yellow]{name} {plain(event.text)}[/]")
        elif event.kind == "stopping" and name == "web":
            messages().print("Stopping; files in work finish or are taken up at the next start.")

    def _note_ready(self, name: str) -> None:
        if self._waiting == {name}:
            inbox = self._settings.data / "inbox" / "tables"
            output().print(f"Copy files into {plain(inbox)} or run `nika drop FILE`. Ctrl-C stops.")
        self._waiting.discard(name)


def _port_advice(port: int, settings: "Settings") -> str:
    if port != settings.reports_port:
        return "Choose another one with NIKA_WEB_PORT."
    return (
        "Stop that program, or choose another port with NIKA_REPORTS_PORT;"
        " links stored by earlier runs keep the old one."
    )


def _setting_records(settings: "Settings") -> list[dict[str, Any]]:
    records = []
    for name, field in type(settings).model_fields.items():
        extra = field.json_schema_extra
        value = getattr(settings, name)
        records.append(
            {
                "name": name,
                "value": _json_value(value),
                "unit": extra.get("unit") if isinstance(extra, dict) else None,
                "default": _json_value(field.default),
                "variable": f"NIKA_{name.upper()}",
                "description": field.description,
                "is_default": value == field.default,
            }
        )
    return records


def _json_value(value: object) -> object:
    return value if isinstance(value, int | float | str | bool | None) else str(value)


def _print_settings(records: list[dict[str, Any]]) -> None:
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD)
    table.add_column("Variable", no_wrap=True)
    table.add_column("Value", overflow="fold")
    table.add_column("Unit", no_wrap=True)
    table.add_column("Meaning", overflow="fold")
    for record in records:
        value = plain(record["value"])
        table.add_row(
            record["variable"],
            value
            if record["is_default"]
            else f"[bold]{value}[/] (default {plain(record['default'])})",
            plain(record["unit"]),
            plain(record["description"]),
        )
    output().print(table)


def _checks() -> "list[Check]":
    from nika_pipelines.operations.doctor import Check, check_machine
    from nika_pipelines.settings import load_settings

    try:
        settings = load_settings()
    except ValueError as error:
        text = "; ".join(settings_problems(error))
        return [Check("settings", "fail", text, "Mend or remove the variables.")]
    checks = [Check("settings", "ok", "every value is within its limits"), *check_machine(settings)]
    return [*checks, *_ledger_checks(settings)]


def _ledger_checks(settings: "Settings") -> "list[Check]":
    from nika_pipelines.operations.doctor import Check, check_ledger_file, check_uploads

    path = settings.data / "ledger.sqlite"
    if not path.exists():
        return [Check("ledger", "ok", "there is none yet: nothing was ever processed")]
    soundness = check_ledger_file(path)
    if soundness.status == "fail":
        return [soundness]
    from nika_pipelines.operations.balance import LedgerReading
    from resources.ledger import LedgerVersionError, open_ledger

    try:
        with open_ledger(path) as ledger:
            notices = [(notice.path, notice.message) for notice in ledger.inbox.notices()]
            reading = LedgerReading(ledger.uploads(), notices, ledger.get)
            return [soundness, *check_uploads(settings, reading)]
    except LedgerVersionError as error:
        return [Check("ledger", "fail", str(error), "Use the version that wrote it.")]


def _print_checks(checks: "list[Check]") -> None:
    console = output()
    for check in checks:
        mark = f"[{_STATUS_STYLES[check.status]}]{check.status:4}[/]"
        console.print(f"{mark}  {check.name:14} {plain(check.message)}", soft_wrap=True)
        if check.advice and check.status != "ok":
            console.print(f"      {'':14} {plain(check.advice)}", soft_wrap=True)
