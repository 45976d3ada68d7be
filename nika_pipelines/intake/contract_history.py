"""The versions of a contract: what each of them said, and when a new one begins.

Belongs here: recognising an edited contract, keeping earlier versions, acceptance. Does not belong
here: what a contract says (`contract_file`), comparing versions (`contract`).

Beside ``sales.yaml`` lies ``.history/sales/v<n>.yaml``, the contract as it was in version n. A
contract whose promises are no longer those of its version was edited: it becomes the next version
before any file is judged by it, so that a version names one set of promises for ever.
"""

import fcntl
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Literal

from nika_pipelines.intake.contract_file import (
    Contract,
    ContractError,
    contract_text,
    create_contract,
    create_file,
    load_contract,
    parse_contract,
    replace_file,
)

HISTORY_FOLDER = ".history"
_VERSION_NAME = re.compile(r"v([1-9][0-9]{0,8})\.yaml")


def current_contract(path: Path) -> Contract:
    """The contract that files of a dataset are judged by; an edited one becomes a new version.

    Raises:
        ContractError: the file is not a contract; names the key at fault.
        FileNotFoundError: the dataset has no contract yet.
    """
    content = path.read_bytes()
    contract = parse_contract(path, content)
    if _is_kept(contract, content, path):
        return contract
    with _alone(path):
        content = path.read_bytes()
        contract = parse_contract(path, content)
        if _is_kept(contract, content, path):
            return contract
        if contract.version in kept_versions(path):
            content = _with_heads(
                path, contract, content, version=next_version(path), status=contract.status
            )
            contract = parse_contract(path, content)
            replace_file(path, content.decode("utf-8-sig"))
        create_file(kept_path(path, contract.version), content.decode("utf-8-sig"))
        return contract


def first_contract(contract: Contract, path: Path) -> Contract | None:
    """Write a dataset's first contract unless there is one already.

    Returns:
        The contract as it was written; None if there was one. Of several workers at once, one
        writes it.
    """
    with _alone(path):
        contract = replace(contract, version=next_version(path))
        if not create_contract(contract, path):
            return None
        create_file(kept_path(path, contract.version), contract_text(contract))
        return contract


def next_version(path: Path) -> int:
    """The version of a contract still to be written; more than 1 if one was thrown away."""
    return max(kept_versions(path), default=0) + 1


def accept(path: Path, instead: tuple[Contract, Contract] | None = None) -> Contract:
    """Enforce a dataset's contract from now on: its status becomes ``accepted``, a new version.

    Args:
        path: its file.
        instead: the contract as it was read, and the one whose columns are wanted in its place.

    Raises:
        ContractError: the file is not a contract, or was edited since it was read.
        FileNotFoundError: the dataset has no contract yet.
    """
    current = current_contract(path)
    if current.status == "accepted" and instead is None:
        return current
    with _alone(path):
        content = path.read_bytes()
        contract = parse_contract(path, content)
        if instead is not None:
            read, wanted = instead
            if contract != read:
                raise ContractError(path, "the file", "was edited meanwhile; try again")
            contract = replace(contract, columns=wanted.columns)
            content = contract_text(contract).encode()
        number = max(contract.version + 1, next_version(path))
        content = _with_heads(path, contract, content, version=number, status="accepted")
        accepted = parse_contract(path, content)
        replace_file(path, content.decode("utf-8-sig"))
        create_file(kept_path(path, number), content.decode("utf-8-sig"))
        return accepted


def kept_versions(path: Path) -> list[int]:
    """The numbers of all versions of a contract that are kept, ascending."""
    folder = _history(path)
    if not folder.is_dir():
        return []
    names = (_VERSION_NAME.fullmatch(entry.name) for entry in folder.iterdir())
    return sorted(int(name[1]) for name in names if name)


def kept_path(path: Path, version: int) -> Path:
    """Where a version of a contract is kept, or will be."""
    return _history(path) / f"v{version}.yaml"


def kept_contract(path: Path, version: int) -> Contract:
    """A contract as it was in one of its versions.

    Raises:
        ContractError: the kept file was damaged.
        FileNotFoundError: there was no such version.
    """
    return load_contract(kept_path(path, version))


def _history(path: Path) -> Path:
    return path.parent / HISTORY_FOLDER / path.stem


def _is_kept(contract: Contract, content: bytes, path: Path) -> bool:
    """Whether the promises are those of the version they claim to be."""
    kept = kept_path(path, contract.version)
    try:
        same = kept.read_bytes()
        # Mostly the very same bytes: a contract of 2,000 columns takes a while to parse.
        return same == content or parse_contract(kept, same) == contract
    except FileNotFoundError:
        return False
    except ContractError:
        return False  # damaged from outside: what is there now becomes a version of its own


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Keep other workers from making a version of the same contract meanwhile."""
    folder = _history(path)
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _with_heads(
    path: Path,
    contract: Contract,
    content: bytes,
    *,
    version: int,
    status: Literal["inferred", "accepted"],
) -> bytes:
    """The content of a contract with another version and status; comments stay if they can."""
    wanted = replace(contract, version=version, status=status)
    text = content.decode("utf-8-sig")
    for key, value in (("version", str(version)), ("status", status)):
        text = re.sub(rf"(?m)^({key}:[ \t]*)[^\s#]+", rf"\g<1>{value}", text, count=1)
    if _says(path, text, wanted):
        return text.encode()
    return contract_text(wanted).encode()  # it was in another style of YAML


def _says(path: Path, text: str, wanted: Contract) -> bool:
    try:
        return parse_contract(path, text.encode()) == wanted
    except ContractError:
        return False
