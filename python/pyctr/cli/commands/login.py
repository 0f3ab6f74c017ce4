"""`login` and `logout`."""

from __future__ import annotations

import getpass
import sys
from typing import TYPE_CHECKING

from pyctr.errors import InvalidArgument

if TYPE_CHECKING:
    from typing import Any

    from pyctr.engine import Engine


def login(engine: Engine, options: dict[str, Any], arguments: list[str]) -> int:
    """Log in, and keep the credentials once the registry took them."""
    from pyctr.engine.credentials import login

    server = arguments[0] if arguments else ""
    user, password = options.get("username", ""), options.get("password", "")
    if options.get("password_stdin"):
        if "password" in options:
            raise InvalidArgument("conflicting options: cannot specify both --password and --password-stdin")
        if not user:
            raise InvalidArgument("the --password-stdin option requires --username to be set")
        password = sys.stdin.read().removesuffix("\n").removesuffix("\r")
    elif password:
        sys.stderr.write("WARNING! Using --password via the CLI is insecure. Use --password-stdin.\n")
    if not (user and password) and not sys.stdin.isatty():
        raise InvalidArgument("Cannot perform an interactive login from a non TTY device")
    if not user:
        user = input("Username: ").strip()
        if not user:
            raise InvalidArgument("username is required")
    if not password:
        password = getpass.getpass("Password: ")
        if not password:
            raise InvalidArgument("password is required")
    kept = login(engine, server, user, password)
    if kept.path:
        sys.stderr.write(
            f"\nWARNING! Your credentials are stored unencrypted in '{kept.path}'.\n"
            "Configure a credential helper to remove this warning.\n\n"
        )
    sys.stdout.write("Login Succeeded\n")
    return 0


def logout(_engine: Engine, _options: dict[str, Any], arguments: list[str]) -> int:
    """Forget credentials."""
    from pyctr.engine.credentials import logout

    server = arguments[0] if arguments else ""
    sys.stdout.write(f"Removing login credentials for {logout(server)}\n")
    return 0
