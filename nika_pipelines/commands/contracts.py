"""Commands on a dataset's contract: contract show, contract diff, contract accept."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nika_pipelines.commands.console import (
    ExitCode,
    document,
    messages,
    output,
    plain,
    settings_in_force,
)
from nika_pipelines.commands.stored_tables import newest_table, trial_of, widened_for_all
from nika_pipelines.intake.names import display_name

if TYPE_CHECKING:
    from nika_pipelines.commands.stored_tables import StoredTable
    from nika_pipelines.intake.contract_file import Contract
    from nika_pipelines.intake.contract_trial import Trial
    from nika_pipelines.intake.states import Upload
    from nika_pipelines.settings import Settings

app = typer.Typer(
    help="Show, compare and accept what a dataset's files promise.", no_args_is_help=True
)
_MOST_NAMED = 20

Dataset = Annotated[str, typer.Argument(help="The dataset, as `nika show` names it.")]
Version = Annotated[
    int | None, typer.Option("--version", min=1, help="An earlier version of the contract.")
]
NewValues = Annotated[
    bool,
    typer.Option(
        "--with-new-values",
        help="First widen its ranges and lists to what the files taken in so far hold.",
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document and nothing else.")]


@app.command("show")
def show_contract(dataset: Dataset, version: Version = None, as_json: Json = False) -> None:
    """Print the contract of a dataset, or an earlier version of it."""
    settings = settings_in_force()
    with document(as_json) as emit:
        path = _contract_path(dataset, settings)
        contract = _loaded(path)
        if version is not None:
            contract, path = _loaded(path, version), _version_path(path, version)
        emit(_record(contract, path))
        if not as_json:
            typer.echo(path.read_text(encoding="utf-8"), nl=False)


@app.command("diff")
def diff(dataset: Dataset, version: Version = None, as_json: Json = False) -> None:
    """Compare the contract with the newest upload of its dataset, or with an earlier version."""
    settings = settings_in_force()
    with document(as_json) as emit:
        path = _contract_path(dataset, settings)
        contract = _loaded(path)
        if version is not None:
            emit(_versions_compared(contract, _loaded(path, version), as_json))
            return
        table, refused = newest_table(dataset, settings)
        if table is None:
            messages().print(f"No upload of {plain(dataset)} has a table to compare with.")
            _print_refused(refused)
            raise typer.Exit(ExitCode.FAILED)
        from nika_pipelines.intake.contract import diff_contract

        trial = trial_of(contract, table, settings)
        lines = diff_contract(contract, table.columns).lines() + list(trial.news)
        emit(
            {
                "dataset": dataset,
                "version": contract.version,
                "status": contract.status,
                "upload_id": table.upload.upload_id,
                "differences": lines,
                "rows_to_reject": trial.rows,
                "refused": None if refused is None else _refusal(refused),
            }
        )
        if not as_json:
            _print_difference(contract, table.upload, lines, trial)
            _print_refused(refused)


@app.command("accept")
def accept_contract(
    dataset: Dataset, with_new_values: NewValues = False, as_json: Json = False
) -> None:
    """Enforce the contract: from now on rows that break it are rejected."""
    settings = settings_in_force()
    with document(as_json) as emit:
        path = _contract_path(dataset, settings)
        before = _loaded(path)
        wanted = widened_for_all(before, dataset, settings) if with_new_values else before
        contract = _accepted(path, before, wanted)
        table, _ = newest_table(dataset, settings)
        trial = None if table is None else trial_of(contract, table, settings)
        promises, changes = _promises(contract), _changes(before, contract)
        emit(
            _record(contract, path)
            | {
                "accepted_now": before.status != "accepted",
                "enforced": promises,
                "changes": changes,
                "rows_to_reject": trial.rows if trial else None,
                "would_break": list(trial.news) if trial else [],
            }
        )
        if not as_json:
            _print_accepted(before, contract, promises)
            _print_changes(changes, with_new_values)
            _print_at_stake(contract, table, trial, with_new_values)


# Finding


def _contract_path(dataset: str, settings: "Settings") -> Path:
    """The file of a dataset's contract.

    Raises:
        typer.BadParameter: there is none; the datasets that have one are named.
    """
    folder = settings.data / "contracts"
    known = {
        path.relative_to(folder).with_suffix("").as_posix().casefold(): path
        for path in sorted(folder.rglob("*.yaml"))
        if not any(part.startswith(".") for part in path.relative_to(folder).parts)
    }
    if dataset.casefold() in known:
        return known[dataset.casefold()]
    names = ", ".join(map(display_name, list(known)[:_MOST_NAMED]))
    more = f" and {len(known) - _MOST_NAMED} more" if len(known) > _MOST_NAMED else ""
    there = f"there are {names}{more}" if known else "no file was taken in yet"
    raise typer.BadParameter(f"no dataset {display_name(dataset)!r} has a contract; {there}")


def _version_path(path: Path, version: int) -> Path:
    """The file of an earlier version of a contract.

    Raises:
        typer.BadParameter: there was no such version; those that are kept are named.
    """
    from nika_pipelines.intake.contract_history import kept_path, kept_versions

    known = kept_versions(path)
    if version not in known:
        listed = ", ".join(map(str, known[-_MOST_NAMED:])) or "none"
        raise typer.BadParameter(
            f"no version {version} of the contract is kept; there are {listed}"
        )
    return kept_path(path, version)


def _loaded(path: Path, version: int | None = None) -> "Contract":
    """The contract in a file, or a version of it; one that cannot be used ends the command."""
    from nika_pipelines.intake.contract_file import ContractError
    from nika_pipelines.intake.contract_history import current_contract, kept_contract

    if version is not None:
        _version_path(path, version)
    try:
        # An edited contract is a new version from the moment that anything looks at it.
        return current_contract(path) if version is None else kept_contract(path, version)
    except (ContractError, OSError) as error:
        messages().print(f"[red]The contract cannot be used: {plain(error)}[/]")
        raise typer.Exit(ExitCode.FAILED) from None


def _accepted(path: Path, before: "Contract", wanted: "Contract") -> "Contract":
    """Accept a contract with the columns that are wanted of it; what prevents it ends the command."""
    from nika_pipelines.intake.contract_file import ContractError
    from nika_pipelines.intake.contract_history import accept

    try:
        return accept(path, instead=None if wanted == before else (before, wanted))
    except (ContractError, OSError) as error:
        messages().print(f"[red]{plain(error)}[/]")
        raise typer.Exit(ExitCode.FAILED) from None


def _changes(before: "Contract", after: "Contract") -> list[str]:
    """What acceptance changed of the promises themselves, a sentence each."""
    from dataclasses import replace

    from nika_pipelines.intake.contract import diff_versions

    return diff_versions(replace(before, status=after.status), after)


# Saying


def _record(contract: "Contract", path: Path) -> dict[str, Any]:
    from nika_pipelines.intake.contract_file import contract_document

    return contract_document(contract) | {"path": str(path)}


def _refusal(upload: "Upload") -> dict[str, Any]:
    return {
        "upload_id": upload.upload_id,
        "error_code": upload.error_code,
        "message": upload.message,
    }


def _promises(contract: "Contract") -> list[str]:
    """What an accepted contract asks of each column beyond its type, a line each."""
    lines = []
    for rule in contract.columns:
        told = [] if rule.nullable else ["never empty"]
        told += ["no value twice"] if rule.unique else []
        told += [f"at least {rule.ge}"] if rule.ge is not None else []
        told += [f"at most {rule.le}"] if rule.le is not None else []
        told += [f"one of {', '.join(map(str, rule.isin))}"] if rule.isin is not None else []
        told += [f"of the form {rule.pattern}"] if rule.pattern is not None else []
        if told:
            lines.append(f"{rule.name}: {'; '.join(told)}")
    return lines


def _versions_compared(contract: "Contract", before: "Contract", as_json: bool) -> dict[str, Any]:
    """What the contract says differently from one of its earlier versions."""
    from nika_pipelines.intake.contract import diff_versions

    lines = diff_versions(before, contract)
    if not as_json:
        title = f"version {contract.version} against version {before.version}"
        output().print(f"Contract of {plain(contract.dataset)}, {title}:", soft_wrap=True)
        for line in lines or ["no difference"]:
            output().print(f"  {plain(line)}", soft_wrap=True)
    return {
        "dataset": contract.dataset,
        "version": contract.version,
        "status": contract.status,
        "compared_with": before.version,
        "differences": lines,
    }


def _print_difference(
    contract: "Contract", upload: "Upload", lines: list[str], trial: "Trial"
) -> None:
    console = output()
    title = f"version {contract.version}, {contract.status}, against {plain(upload.upload_id)}"
    console.print(f"Contract of {plain(contract.dataset)}, {title}:", soft_wrap=True)
    for line in lines or ["no difference"]:
        console.print(f"  {plain(line)}", soft_wrap=True)
    if trial.rows:
        held = "Once accepted, it" if contract.status == "inferred" else "It"
        console.print(f"{held} rejects such rows: {_rows(trial.rows)} of this file.")
        console.print(_way_in(contract), soft_wrap=True)


def _rows(count: int) -> str:
    return f"{count:,} row{'' if count == 1 else 's'}"


def _way_in(contract: "Contract") -> str:
    import shlex

    name = plain(shlex.quote(contract.dataset))
    return f"`nika contract accept {name} --with-new-values` takes the new values in."


def _print_refused(refused: "Upload | None") -> None:
    if refused is not None:
        text = f"{refused.upload_id} is newer and was refused: {refused.error_code}:"
        messages().print(f"{plain(text)} {plain(refused.message)}")


def _print_accepted(before: "Contract", contract: "Contract", promises: list[str]) -> None:
    console, name = output(), plain(contract.dataset)
    if before.status == "accepted":
        console.print(f"The contract of {name} is accepted already (version {contract.version}).")
    else:
        console.print(f"The contract of {name} is accepted, as version {contract.version}.")
    console.print("Enforced on every file from now on, row by row, besides columns and types:")
    for promise in promises or ["nothing more"]:
        console.print(f"  {plain(promise)}", soft_wrap=True)
    console.print("Earlier results stay as they are.")


def _print_changes(changes: list[str], wanted: bool) -> None:
    if wanted:
        output().print("Changed, so that the files taken in so far keep it:")
        for line in changes or ["nothing: they keep it already"]:
            output().print(f"  {plain(line)}", soft_wrap=True)


def _print_at_stake(
    contract: "Contract", table: "StoredTable | None", trial: "Trial | None", widened: bool
) -> None:
    """What the contract would reject of the newest file, had it to be read again."""
    if table is None or trial is None or not trial.rows:
        return
    console, name = output(), plain(table.upload.original_name)
    held = f"{_rows(trial.rows)} of the newest file ({name}) would be rejected:"
    console.print(f"[yellow]{held}[/]", soft_wrap=True)
    for line in trial.news:
        console.print(f"  {plain(line)}", soft_wrap=True)
    console.print(
        "Change these rules in the contract." if widened else _way_in(contract), soft_wrap=True
    )
