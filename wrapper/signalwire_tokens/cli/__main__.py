"""`python -m signalwire_tokens.cli` is the command `signalwire-tokens`."""

from . import main

main()
