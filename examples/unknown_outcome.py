"""Mint a token although the response may be lost: `unknown_outcome.py NAME`.

A create whose response is lost may have minted a token. No call lists tokens, so the library neither retries nor
guesses. It sets `may_have_applied`, and this program decides what to do.
"""

import sys
from uuid import UUID, uuid4

from signalwire_tokens import ApiToken, InvalidResponseError, Permission, ProjectTokens, SignalWireError

ATTEMPTS = 3


def create(tokens: ProjectTokens, name: str) -> tuple[ApiToken, list[str]]:
    """Mint a token; return it with the names of tokens that a person must look for."""
    strays: list[str] = []
    for attempt in range(1, ATTEMPTS + 1):
        # A new name for each attempt: in the dashboard, a stray is then easy to tell from the token in use.
        unique = f"{name}-{uuid4().hex[:8]}"
        try:
            return tokens.create(unique, [Permission.CALLING]), strays
        except InvalidResponseError as error:
            # A broken response. If it names the token, nobody has to look for it.
            try:
                token_id = UUID(error.token_id or "")
            except ValueError:
                # The response has no ID, or one that is no UUID.
                strays.append(unique)
            else:
                tokens.delete(token_id, missing_ok=True)
            problem: SignalWireError = error
        except SignalWireError as error:
            if not error.may_have_applied:
                # Refused or never sent: the library has retried what a retry could help.
                raise
            strays.append(unique)
            problem = error
        print(f"attempt {attempt}: {problem}", file=sys.stderr)
    raise SystemExit(f"gave up; look in the dashboard for: {', '.join(strays) or 'nothing'}")


def main(name: str) -> None:
    with ProjectTokens() as tokens:
        created, strays = create(tokens, name)
    print(f"created {created.name} {created.id}")
    for stray in strays:
        print(f"may exist too, and nobody holds its secret: delete {stray} in the dashboard")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    try:
        main(*sys.argv[1:])
    except SignalWireError as error:
        sys.exit(str(error))
