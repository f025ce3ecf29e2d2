"""Rotate an API token that a service reads from a file: `rotate_into_file.py TOKEN_ID FILE`.

The command `signalwire-tokens rotate TOKEN_ID NAME -p ... --out FILE --force` does this, too, and keeps the owner,
group and mode of the file; with `--format env` or `json`, the file also holds the ID. Here, only the user who runs this
can read the file, and it holds only the secret: keep the ID that is printed.
"""

import os
import sys
import tempfile
from pathlib import Path

from signalwire_tokens import ApiToken, Permission, ProjectTokens, SignalWireError


def replace(file: str, text: str) -> None:
    """Write a whole file in one step: a reader finds the old text or the new one, never half of one."""
    # In the same directory, as a rename is atomic only within a file system. Its mode is 0600 from the start.
    descriptor, name = tempfile.mkstemp(dir=Path(file).parent)
    try:
        with os.fdopen(descriptor, "w") as temporary:
            temporary.write(text)
            temporary.flush()
            # A power cut must not leave an empty file once the old token is deleted.
            os.fsync(descriptor)
        Path(name).replace(file)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def main(token_id: str, file: str) -> None:
    def store(new: ApiToken) -> None:
        replace(file, new.token.get_secret_value())

    with ProjectTokens() as tokens:
        new = tokens.rotate(token_id, "service", [Permission.CALLING], store=store)
    print(f"{file} holds the secret of {new.id} now, and {token_id} is deleted")


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    try:
        main(*sys.argv[1:])
    except (SignalWireError, OSError, ValueError) as error:
        sys.exit(f"rotation failed: {error}")
