"""Identity of an upload: its content together with the options under which it is read."""

import hashlib
from pathlib import Path


def content_identity(sha256: str, options: str = "") -> str:
    """The identity under which two uploads count as the same.

    Args:
        sha256: SHA-256 of the bytes.
        options: text of everything else that changes the result, such as a sidecar.
    """
    return hashlib.sha256(f"{sha256}\n{options}".encode()).hexdigest()


def contract_options(contract_path: Path) -> str:
    """Which contract a file of the dataset will be read by, as text for `content_identity`.

    Args:
        contract_path: where the dataset's contract is or will be; its first file writes version 1.
    """
    from nika_pipelines.intake.contract_file import ContractError, load_contract

    try:
        version = load_contract(contract_path).version
    except FileNotFoundError:
        version = 1
    except (ContractError, OSError):
        return "contract unreadable"
    return f"contract {version}"
