"""Identity of an upload: its content together with the options under which it is read."""

import hashlib


def content_identity(sha256: str, options: str = "") -> str:
    """The identity under which two uploads count as the same.

    Args:
        sha256: SHA-256 of the bytes.
        options: text of everything else that changes the result, such as a sidecar.
    """
    return hashlib.sha256(f"{sha256}\n{options}".encode()).hexdigest()
