"""The command: photos in, named keypoints out. `python client/predict.py photo.jpg`, installed as `seamline-predict`.

Nothing heavy is imported before the arguments are read, so that --help answers at once.
"""

from __future__ import annotations

import argparse
import os
import sys
import warnings
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from seamline_client.contract import GRPC_PORT, MODEL_NAME, REST_PORT, SIGNATURES
from seamline_client.errors import AccessDenied, CannotConnect, ClientError, InvalidInput, NotFound

if TYPE_CHECKING:
    from seamline_client.api import PredictClient
    from seamline_client.flows import Outcome
    from seamline_client.images import Photo
    from seamline_client.overlay import Drawings
    from seamline_client.progress import Progress
    from seamline_client.reports import Report
    from seamline_client.transport import Tls

EPILOG = """\
examples:
  predict.py coat.jpg                          a table of the points of one photo
  predict.py photos/ --json > points.jsonl     a folder, one JSON object a line
  predict.py coat.jpg --draw drawn.jpg         the photo with its points drawn on it
  predict.py 'photos/*.png' --draw drawn/      the same for many
  cat coat.jpg | predict.py - --rest           from stdin, over REST

stdout carries answers, stderr everything else.

exit codes:
  0  every photo was answered       5  no answer in time
  1  some photos failed             6  no such model, version, label or signature
  2  the command line is wrong      7  the server is busy
  3  a photo or option is no good   8  access denied
  4  no server there                9  the server failed     10  its answer is no good
"""


def parser() -> argparse.ArgumentParser:
    """The command line."""
    main_parser = argparse.ArgumentParser(
        prog="predict.py" if sys.argv[0].endswith(".py") else None,
        description="Find the keypoints of garments on photos, by asking a model server.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = main_parser.add_argument
    add("photos", nargs="*", metavar="PHOTO", help="a file, a folder (with those below it), a glob, or - for stdin")
    add("--watch", metavar="FOLDER", help="then go on with photos as they come into FOLDER, until Ctrl-C")

    server = main_parser.add_argument_group("server")
    add = server.add_argument
    add("--target", metavar="HOST:PORT", help=f"default: this machine, port {GRPC_PORT}, with --rest {REST_PORT}")
    transport = server.add_mutually_exclusive_group()
    for name, text in (("grpc", "speak gRPC (the default)"), ("rest", "speak REST")):
        transport.add_argument(
            f"--{name}", dest="transport", action="store_const", const=name, default="grpc", help=text
        )
    add("--model", default=MODEL_NAME, metavar="NAME", help="default: %(default)s")
    which = server.add_mutually_exclusive_group()
    which.add_argument("--version", type=int, metavar="N", help="ask this version of the model")
    which.add_argument("--label", metavar="NAME", help="ask the version with this label, such as stable")
    doors = "pixels in uint8 over gRPC, the file itself over REST"
    add("--signature", choices=tuple(SIGNATURES), help=f"how photos are sent (default: {doors})")
    add("--timeout", type=float, default=30.0, metavar="SECONDS", help="per request (default: %(default)g)")
    add("--retries", type=int, default=2, metavar="N", help="further attempts when there is no connection (default: 2)")
    add("--batch", type=int, default=1, metavar="N", help="photos per request (default: 1)")
    add("--parallel", type=int, default=4, metavar="N", help="requests in flight (default: 4)")
    add("--tls", action="store_true", help="speak TLS, trusting the system's certificates")
    add("--tls-ca", type=Path, metavar="FILE", help="speak TLS, trusting the certificates in this PEM file")
    add("--tls-cert", type=Path, metavar="FILE", help="our certificate, where the server asks for one")
    add("--tls-key", type=Path, metavar="FILE", help="and its key")
    add("--token-file", type=Path, metavar="FILE", help="send the token in this file as a bearer token")

    output = main_parser.add_argument_group("output")
    form = output.add_mutually_exclusive_group()
    for name, text in (
        ("json", "one JSON object per photo and line"),
        ("csv", "a row per point"),
        ("coco", "one COCO keypoint data set"),
    ):
        form.add_argument(f"--{name}", dest="form", action="store_const", const=name, default="table", help=text)
    output.add_argument(
        "--draw", type=Path, metavar="OUT", help="draw points and outline on each photo: a folder, or a file for one"
    )
    return main_parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; the exit code (see --help)."""
    command = parser()
    options = command.parse_args(arguments)
    if not options.photos and not options.watch:
        command.error("which photo? name a file, a folder, a glob, or - for stdin")
    if (options.tls_cert is None) != (options.tls_key is None):
        command.error("--tls-cert and --tls-key go together")
    try:
        return run(options)
    except ClientError as error:
        _complain(error)
        return error.exit_code
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # Whoever read our output (head, less) has gone: no traceback, and none from the interpreter's last flush.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141


def run(options: argparse.Namespace) -> int:
    """Ask about every photo and write the answers; the exit code. Raises ClientError where going on makes no sense."""
    from seamline_client.api import PredictClient
    from seamline_client.finding import STDIN, find_photos, watch
    from seamline_client.overlay import Drawings
    from seamline_client.progress import Progress
    from seamline_client.reports import REPORTS

    # Of a picture that is far too large Pillow warns before we refuse it; the refusal is enough.
    warnings.filterwarnings("ignore", module="PIL")
    paths = find_photos(options.photos)
    photos: list[Photo] = [_stdin() if path == STDIN else path for path in paths]
    count = 2 if options.watch else len(photos)  # while watching there is no telling how many will come
    drawings = Drawings(options.draw, count) if options.draw else None
    tally = Tally()
    with PredictClient(
        options.target,
        options.transport,
        model=options.model,
        timeout=options.timeout,
        retries=options.retries,
        tls=_tls(options),
        token=_token(options.token_file),
    ) as client:
        report = REPORTS[options.form](sys.stdout)
        try:
            tally.add_all(_ask(client, photos, options), report, drawings, Progress(len(photos), sys.stderr))
            if options.watch:
                arrivals = watch(options.watch)
                print(f"Watching {options.watch} for new photos; Ctrl-C ends", file=sys.stderr, flush=True)
                for arrived in arrivals:
                    tally.add_all(_ask(client, arrived, options), report, drawings, Progress(len(arrived), sys.stderr))
                    sys.stdout.flush()
        except KeyboardInterrupt:
            if not options.watch:  # there it is the way to end
                raise
        finally:
            report.close()
    return tally.exit_code


class Tally:
    """What became of the photos so far."""

    def __init__(self) -> None:
        self.answered = 0
        self.failures: set[int] = set()

    @property
    def exit_code(self) -> int:
        """0 where all were answered, 1 where some were, the failure's own code where none was."""
        if not self.failures:
            return 0
        return 1 if self.answered or len(self.failures) > 1 else next(iter(self.failures))

    def add_all(
        self, outcomes: Iterable[Outcome], report: Report, drawings: Drawings | None, progress: Progress
    ) -> None:
        """Write each outcome as it comes; raises the error of one that all the others would meet too."""
        try:
            for outcome in outcomes:
                if sys.stdout.isatty():  # otherwise the answer does not go where the progress stands
                    progress.clear()
                try:
                    self._add(outcome, report, drawings)
                except (AccessDenied, CannotConnect, NotFound):
                    raise
                except ClientError as error:
                    self.failures.add(error.exit_code)
                    progress.clear()
                    name = _name(outcome.photo)
                    _complain(error, "" if name in str(error) else f"{name}: ")
                progress.advance()
        finally:
            progress.clear()

    def _add(self, outcome: Outcome, report: Report, drawings: Drawings | None) -> None:
        if outcome.prediction is None:
            raise outcome.error or InvalidInput("no answer")
        name = _name(outcome.photo)
        report.write(name, outcome.prediction)
        self.answered += 1
        if drawings is not None:
            drawings.save(outcome.photo, name, outcome.prediction)


def _ask(client: PredictClient, photos: Sequence[Photo], options: argparse.Namespace) -> Iterator[Outcome]:
    return client.stream(
        photos,
        signature=options.signature,
        version=options.version,
        label=options.label,
        batch=options.batch,
        parallel=options.parallel,
    )


def _stdin() -> Photo:
    data = sys.stdin.buffer.read()
    if not data:
        raise InvalidInput("stdin: nothing came")
    return data


def _name(photo: Photo) -> str:
    return photo if isinstance(photo, str) else "stdin"


def _tls(options: argparse.Namespace) -> Tls | None:
    from seamline_client.transport import Tls

    if options.tls or options.tls_ca or options.tls_cert:
        return Tls(options.tls_ca, options.tls_cert, options.tls_key)
    return None


def _token(path: Path | None) -> str | None:
    try:
        return path.read_text(encoding="utf-8").strip() if path else None
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInput(f"{path}: the token cannot be read ({error})") from error


def _complain(error: ClientError, about: str = "") -> None:
    print(f"predict: {about}{error}", file=sys.stderr)
