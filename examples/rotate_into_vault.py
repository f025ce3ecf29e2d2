"""Rotate an API token that HashiCorp Vault holds (KV version 2): `rotate_into_vault.py MOUNT PATH`.

MOUNT is where the KV engine is mounted, often `secret`, and PATH is below it. The secret there has the keys `id` and
`token`, as the command makes them:

    signalwire-tokens create calls -p calling --format json --exec 'vault kv put -mount=MOUNT PATH -'

As for the command `vault`, VAULT_ADDR is the address of Vault, and VAULT_TOKEN the credential for it.
"""

import sys
from typing import Any
from uuid import UUID

import hvac
from hvac.exceptions import InvalidPath, VaultError
from requests import RequestException

from signalwire_tokens import ApiToken, Permission, ProjectTokens, RotationError, SignalWireError


def main(mount: str, path: str) -> None:
    kv = hvac.Client().secrets.kv.v2

    def read() -> dict[str, Any]:
        found: dict[str, Any] = kv.read_secret_version(path, mount_point=mount, raise_on_deleted_version=True)["data"]
        return found

    try:
        found = read()
    except InvalidPath:
        sys.exit(f"not rotated: nothing is at {path} below {mount}; for {mount}/PATH, pass {mount} and PATH")
    held, version = found["data"], found["metadata"]["version"]
    try:
        old = UUID(held["id"])
    except (ValueError, LookupError):
        sys.exit(f"not rotated: the secret at {path} has no `id` of a token; make it as above, with --format json")

    def store(new: ApiToken) -> None:
        # `cas`: Vault refuses if another rotation was faster, so neither overwrites what the other has stored.
        wanted = held | {"id": str(new.id), "token": new.token.get_secret_value()}
        try:
            kv.create_or_update_secret(path, wanted, cas=version, mount_point=mount)
        except (VaultError, RequestException):
            # Perhaps only the response was lost. If `store` raises, the new token is deleted: does Vault hold it?
            if read()["data"] != wanted:
                raise

    with ProjectTokens() as tokens:
        new = tokens.rotate(old, "calls", [Permission.CALLING], store=store)
    print(f"{path} holds {new.id} now, and {old} is deleted")


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    try:
        main(*sys.argv[1:])
    except RotationError as error:
        sys.exit(f"delete {error.old_token_id} by hand: {error}")
    except (SignalWireError, VaultError, RequestException) as error:
        sys.exit(f"not rotated: {error}")
