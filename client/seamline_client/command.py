"""The command: photos in, named keypoints out. `python client/predict.py photo.jpg`, installed as `seamline-predict`.

Nothing heavy is imported before the arguments are read, so that --help answers at once.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from seamline_client.contract import GRPC_PORT, MODEL_NAME, REST_PORT, SIGNATURES
from seamline_client.errors import ClientError

EPILOG = """\
examples:
  predict.py photo.jpg                      a table of the points of one photo
  predict.py photos/ --json > points.jsonl  a folder, one JSON object a line
  predict.py photo.jpg --draw drawn.jpg     the photo with its points drawn on
  predict.py 'photos/*.png' --draw drawn/   the same for many
  predict.py photo.jpg --min-score 0.5      what the model is rather sure of
  cat photo.jpg | predict.py - --rest       from standard input, over REST

stdout carries answers, stderr everything else.

exit codes:
  0  every photo was answered        6  no such model, version, label, signature
  1  some photos failed              7  the server is busy
  2  the command line is wrong       8  access denied
  3  bad photo or option             9  the server failed
  4  no server there                10  its answer breaks the contract
  5  no answer in time
"""


def parser() -> argparse.ArgumentParser:
    """The command line."""
    main_parser = argparse.ArgumentParser(
        prog="predict.py" if sys.argv[0].endswith(".py") else None,
        usage="%(prog)s [options] PHOTO ...",
        description="Find keypoints on photos, by asking a model server.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = main_parser.add_argument
    add("photos", nargs="*", metavar="PHOTO", help="a file, a folder (with those below it), a glob, or - for stdin")
    add("--watch", metavar="FOLDER", help="then go on with photos as they come into FOLDER, until Ctrl-C")

    server = main_parser.add_argument_group("server")
    add = server.add_argument
    this_machine = f"this machine, port {GRPC_PORT}, with --rest {REST_PORT}"
    several = "several with commas between them are asked in turn"
    forms = f"host:port, or the URL of a gateway or of REST; {several} (default: {this_machine})"
    add("--target", metavar="ADDRESS", help=forms)
    transport = server.add_mutually_exclusive_group()
    for name, text in (("grpc", "speak gRPC (the default)"), ("rest", "speak REST (the default for a URL)")):
        transport.add_argument(f"--{name}", dest="transport", action="store_const", const=name, help=text)
    add("--model", metavar="NAME", help=f"default: {MODEL_NAME}, or the one that the URL names")
    which = server.add_mutually_exclusive_group()
    which.add_argument("--version", type=int, metavar="N", help="ask this version of the model")
    which.add_argument("--label", metavar="NAME", help="ask the version with this label, where the server has labels")
    how = "pixels in uint8 over gRPC, the file itself over REST"
    add("--signature", choices=tuple(SIGNATURES), help=f"how photos are sent (default: {how})")
    add("--timeout", type=float, default=30.0, metavar="SECONDS", help="per request (default: %(default)g)")
    retries = "further attempts when there is no connection (default: 2); unless 0, a busy server is asked again too"
    add("--retries", type=int, default=2, metavar="N", help=retries)
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
    surer = "leave out points that are less sure, from 0 to 1; for versions that say how sure they are"
    output.add_argument("--min-score", type=fraction, metavar="SCORE", help=surer)
    output.add_argument(
        "--draw", type=Path, metavar="OUT", help="draw points and outline on each photo: a folder, or a file for one"
    )
    kept = main_parser.add_argument_group("sample").add_argument
    share = "keep this share of the photos with their answers, 0 to 1 (default: SEAMLINE_SAMPLE, or none)"
    kept("--sample", type=fraction, metavar="SHARE", help=share)
    kept("--sample-to", type=Path, metavar="FOLDER", help="where (default: SEAMLINE_SAMPLE_FOLDER, or sample)")
    return main_parser


def fraction(text: str) -> float:
    """Of the command line, 0 to 1."""
    with suppress(ValueError):
        if 0 <= float(text) <= 1:
            return float(text)
    raise argparse.ArgumentTypeError(f"{text!r} is not from 0 to 1")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; the exit code (see --help)."""
    command = parser()
    options = command.parse_args(arguments)
    if not options.photos and not options.watch:
        command.error("which photo? name a file, a folder, a glob, or - for stdin")
    if (options.tls_cert is None) != (options.tls_key is None):
        command.error("--tls-cert and --tls-key go together")
    if any(isinstance(value, list) for name, value in vars(options).items() if name != "photos"):
        command.error("-- is no value of an option")  # argparse makes a list of `--option=--`
    # Before gRPC is imported: what fails is one line of ours, not lines of C++ before it.
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    from seamline_client.run import complain, run

    try:
        return run(options)
    except ClientError as error:
        complain(error)
        return error.exit_code
    except KeyboardInterrupt:
        return 130
    except OSError as error:
        # No traceback, and none from the interpreter's last flush. A broken pipe: whoever read (head, less) has gone.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if isinstance(error, BrokenPipeError):
            return 141
        complain(ClientError(f"{error.filename or 'standard output'}: {error.strerror or error}"))
        return ClientError.exit_code
