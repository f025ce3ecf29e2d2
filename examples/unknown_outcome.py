"""Mint a token when the network may fail between the service's deed and its word: `unknown_outcome.py NAME`.

A create whose answer is lost may have minted a token. No call lists tokens, so the library neither tries again nor
guesses: it says `may_have_applied`, and what to do about it is decided here.
"""

import sys
from uuid import uuid4

from signalwire_tokens import ApiToken, InvalidResponseError, Permission, ProjectTokens, SignalWireError

ATTEMPTS = 3


def create(tokens: ProjectTokens, name: str) -> tuple[ApiToken, list[str]]:
    """Mint a token; return it with the names of strays that a person must look for."""
    strays: list[str] = []
    for attempt in range(1, ATTEMPTS + 1):
        # A name of its own for each attempt: in the dashboard the stray is then told from the token in use.
        unique = f"{name}-{uuid4().hex[:8]}"
        try:
            return tokens.create(unique, [Permission.CALLING]), strays
        except InvalidResponseError as error:
            # An answer came, broken. If it names the token, nobody has to look for it.
            if error.token_id is None:
                strays.append(unique)
            else:
                tokens.delete(error.token_id, missing_ok=True)
            problem: SignalWireError = error
        except SignalWireError as error:
            if not error.may_have_applied:
                # Refused: trying again would be refused again.
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
        print(f"may live too, and nobody holds its secret: delete {stray} in the dashboard")


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except SignalWireError as error:
        sys.exit(str(error))
