"""The commands round the gateway: who may call, and by which certificate it is known."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Optional

import typer

from pipeline.cli.serving import SHARE
from pipeline.cli.shared import app
from pipeline.console import console
from pipeline.settings import Settings

if TYPE_CHECKING:
    from pipeline.gateway.files import Files

NAME = typer.Option(..., help="Who calls, as the gateway's log is to say.")
DAYS = typer.Option(90.0, show_default="90", help="For how many days the token counts.")
HOST = typer.Option([], help="Name or address that callers use; may be repeated. Default: localhost, 127.0.0.1.")
CERT = typer.Option(
    None,
    help="Certificate that you have, PEM, followed by what it is signed by; - for it and its key on standard input.",
)
KEY = typer.Option(None, help="The key of --cert, PEM, unencrypted.")


@app.command()
def gateway(share: int = SHARE) -> None:
    """Become the gateway, in the foreground, as its container does; `serve --gateway` starts one in the background."""
    from pipeline.gateway import running

    running.become(Settings.from_environment(), share)


@app.command()
def token(name: str = NAME, days: float = DAYS) -> None:
    """Sign a token for one caller of the gateway, and print it. It is kept nowhere."""
    print(_files().token(name, days))


@app.command("rotate-keys")
def rotate_keys() -> None:
    """Sign tokens with another key. Those of the key before it count until the next rotation, older ones end now."""
    console.print(
        f"Key {_files().rotate()} signs from now on. Tokens of the key before it count until the next rotation."
    )


@app.command()
def certificate(host: list[str] = HOST, cert: Optional[Path] = CERT, key: Optional[Path] = KEY) -> None:
    """Give the gateway a certificate: --cert and --key that you have, or one of its own, to try with."""
    from pipeline.gateway import certificates

    piped = cert == Path("-")
    if (cert is None or piped) != (key is None) or (cert and host):
        raise typer.BadParameter("--cert and --key go together, and without --host")
    files = _files()
    if cert:
        # What is no text is no PEM either, which is said as of any other file.
        pem = (sys.stdin.buffer.read() if piped else cert.read_bytes()).decode(errors="replace")
        files.certify(*certificates.named(pem, key.read_text(errors="replace") if key else pem))
        console.print(f"The gateway shows the certificate {'' if piped else f'{cert} '}from now on.")
    else:
        names = host or list(certificates.HERE)
        files.certify(*certificates.own(names))
        console.print(f"The gateway shows a certificate of its own for {', '.join(names)}. Callers trust it by")
        console.print(f"  --tls-ca {files.authority}", soft_wrap=True)


def _files() -> Files:
    from pipeline.gateway.files import Files

    return Files(Settings.from_environment().gateway)
