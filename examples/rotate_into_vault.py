"""Rotate an API token that HashiCorp Vault holds (KV version 2): `rotate_into_vault.py PATH`.

The secret at PATH has the keys `id` and `token`, as the command makes them:

    signalwire-tokens create calls -p calling --format json --exec 'vault kv put secret/PATH -'

As for `vault`, VAULT_ADDR and VAULT_TOKEN say where Vault is and who asks.
"""

import sys

import hvac
from hvac.exceptions import VaultError
from requests import RequestException

from signalwire_tokens import ApiToken, Permission, ProjectTokens, RotationError, SignalWireError


def main(path: str) -> None:
    kv = hvac.Client().secrets.kv.v2
    read = kv.read_secret_version(path, raise_on_deleted_version=True)["data"]
    held, version = read["data"], read["metadata"]["version"]

    def store(new: ApiToken) -> None:
        # `cas`: Vault refuses if another rotation was faster, so neither overwrites what the other has stored.
        wanted = held | {"id": str(new.id), "token": new.token.get_secret_value()}
        try:
            kv.create_or_update_secret(path, wanted, cas=version)
        except (VaultError, RequestException):
            # Perhaps only the response was lost. A `store` that fails costs the new token: does Vault hold it?
            if kv.read_secret_version(path, raise_on_deleted_version=True)["data"]["data"] != wanted:
                raise

    with ProjectTokens() as tokens:
        new = tokens.rotate(held["id"], "calls", [Permission.CALLING], store=store)
    print(f"{path} holds {new.id} now, and {held['id']} is deleted")


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except RotationError as error:
        sys.exit(f"delete {error.old_token_id} by hand: {error}")
    except (SignalWireError, VaultError, RequestException) as error:
        sys.exit(f"not rotated: {error}")
