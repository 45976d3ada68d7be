"""Check that loading the definitions uses nothing of Dagster that is deprecated or superseded."""

import importlib
import sys
import warnings

from dagster_shared.utils.warnings import BetaWarning, SupersessionWarning


def main() -> int:
    """Load the definitions and print every warning about the APIs in use; exit code 1 for any."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        importlib.import_module("nika_pipelines.definitions")
    outdated = [
        warning
        for warning in caught
        if issubclass(warning.category, SupersessionWarning | BetaWarning)
        or (issubclass(warning.category, DeprecationWarning) and "dagster" in warning.filename)
        or "and will be removed in" in str(warning.message)
    ]
    for warning in outdated:
        print(f"{warning.filename}:{warning.lineno}: {warning.category.__name__}")
        print(f"  {warning.message}")
    return int(bool(outdated))


if __name__ == "__main__":
    sys.exit(main())
