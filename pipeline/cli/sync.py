"""The commands that bring the store to every machine, and those round signatures."""

from __future__ import annotations

from pathlib import Path
from typing import Optional

import typer

from pipeline.cli.shared import app, releases
from pipeline.console import console
from pipeline.errors import PipelineError
from pipeline.settings import Settings

REMOTE = typer.Argument(..., help="s3://bucket/folder, or a remote of rclone's: name:folder, or a folder.")
EVERY = typer.Option(None, help="Then go on, asking again after so many seconds. Default: once.")
TO = typer.Option(..., help="File for the private key; the public one's has .pub behind it.")


@app.command()
def push(remote: str = REMOTE) -> None:
    """Upload the published versions and what serves, for others to pull; signed, where SEAMLINE_SIGNING_KEY is set."""
    from pipeline.sync.push import push as send
    from pipeline.sync.remote import Remote

    key = Settings.from_environment().signing_key
    state = send(releases(), Remote(remote), key)
    there = ", ".join(map(str, state.versions))
    serves = f"version {state.version} serves" if state.version else "none of them serves"
    console.print(f"{remote}: has versions {there}{', signed' if key else ''}; {serves}")


@app.command()
def pull(remote: str = REMOTE, every: Optional[float] = EVERY) -> None:
    """Fetch versions that were pushed, and let those answer here that answer there. Exit code 19: nothing to reach."""
    from pipeline.sync import loop
    from pipeline.sync.pull import Follower
    from pipeline.sync.remote import Remote

    if every is not None and not 1 <= every <= 86_400:
        raise typer.BadParameter("from 1 second to a day, 86400", param_hint="'--every'")
    follower = Follower(releases, Remote(remote), Settings.from_environment().trusted_keys)
    if every:
        loop.run(follower, every)
    for line in follower.pull():
        console.print(line)


@app.command("signing-key")
def signing_key(to: Path = TO) -> None:
    """Make a pair of keys: one signs what is pushed, the other lets machines check it."""
    from pipeline.release import envelopes

    public = Path(f"{to}.pub")
    name = envelopes.make_key(to, public)
    console.print(
        f"Key {name[:16]}\n"
        f"  SEAMLINE_SIGNING_KEY={to}       secret: for `push`, on the machine that publishes\n"
        f"  SEAMLINE_TRUSTED_KEYS={public}  on every machine that pulls or serves"
    )


@app.command()
def signed() -> None:
    """Check that what serves, the canary too, is signed by a trusted key, as `serve` does. Exit code 18 when not."""
    from pipeline.release import signing

    found, trusted = releases(), Settings.from_environment().trusted_keys
    if trusted is None:
        raise PipelineError("SEAMLINE_TRUSTED_KEYS names no keys, so whatever is there counts.")
    for number in signing.check_serving(found, trusted):
        console.print(f"Version {number} is signed by one of {trusted}")
