"""A table on its way through intake: what the stages after the reader know of it."""

from dataclasses import dataclass, field
from pathlib import Path

from nika_pipelines.intake.contract_file import Contract
from nika_pipelines.intake.records import Column, IntakeWarning, TextTable


@dataclass
class DraftTable:
    """A typed table, before intake is done with it.

    Attributes:
        text: the table as it was cut.
        columns: its columns.
        contract: what its rows are held against; None for the first file of a dataset.
        warnings: everything to know so far.
        rejected_by_cast: rows with a value that its column's type cannot read.
        rejected_by_contract: rows that break a rule.
        stopped_early: whether rows were left unlooked at, enough being bad.
        reject_files: the rejects of cast and contract, in this order.
    """

    text: TextTable
    columns: list[Column]
    contract: Contract | None
    warnings: list[IntakeWarning]
    rejected_by_cast: int = 0
    rejected_by_contract: int = 0
    stopped_early: bool = False
    reject_files: list[Path] = field(default_factory=list)

    @property
    def rejected(self) -> int:
        """Rows that cast or contract rejected."""
        return self.rejected_by_cast + self.rejected_by_contract

    @property
    def accepted(self) -> int:
        """Rows of the typed table."""
        return self.text.balance.accepted - self.rejected
