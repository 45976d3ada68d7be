"""Identity of an upload: its content together with the options under which it is read."""

import hashlib
import json
from pathlib import Path

from nika_pipelines.intake.reading_options import ReadingOptions


def content_identity(sha256: str, options: str = "") -> str:
    """The identity under which two uploads count as the same.

    Args:
        sha256: SHA-256 of the bytes.
        options: text of everything else that changes the result, such as a sidecar.
    """
    return hashlib.sha256(f"{sha256}\n{options}".encode()).hexdigest()


def reading_options(sidecar: ReadingOptions, contract_path: Path) -> str:
    """Everything besides the bytes that decides how a file is read, as text.

    Two sidecars that say the same are the same, however they are written.

    Args:
        sidecar: what a person says about the file.
        contract_path: where the dataset's contract is or will be.
    """
    contract = contract_options(contract_path)
    said = sidecar.to_document()
    if not said:
        return contract
    return f"{contract}\nsidecar {json.dumps(said, sort_keys=True, ensure_ascii=True)}"


def contract_options(contract_path: Path) -> str:
    """Which contract a file of the dataset will be read by, as text for `content_identity`.

    Args:
        contract_path: where the dataset's contract is or will be; its first file writes version 1.
    """
    from nika_pipelines.intake.contract_file import ContractError
    from nika_pipelines.intake.contract_history import current_contract, next_version

    try:
        version = current_contract(contract_path).version
    except FileNotFoundError:
        version = next_version(contract_path)
    except (ContractError, OSError):
        return "contract unreadable"
    return f"contract {version}"
