"""Generate the Python stubs in `rutile_proto/` from the .proto files, and note which sources they were made from.

Run by `make proto` in an environment that has the `proto` extra (grpcio-tools 1.72): what a newer generator writes
would demand a newer protobuf at run time than Rutile asks for. The stubs are committed; `tests/proto` compares them
with the sources and needs neither network nor compiler.
"""

import hashlib
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent
PACKAGE = ROOT / "rutile_proto"
DIGEST_FILE = PACKAGE / "stubs.sha256"


def proto_files() -> list[Path]:
    """The sources, in a fixed order."""
    return sorted(PACKAGE.glob("*.proto"))


def has_service(path: Path) -> bool:
    """Whether the source declares a service, so that there is something for the gRPC plugin to write."""
    return re.search(r"^service ", path.read_text(), re.MULTILINE) is not None


def source_digest() -> str:
    """One `sha256  name` line per source, as sha256sum prints them."""
    return "".join(f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}\n" for path in proto_files())


def generate() -> None:
    """Write the stubs and the digest; SystemExit if the compiler refuses a source."""
    from grpc_tools import protoc

    def run(kinds: tuple[str, ...], sources: list[Path]) -> None:
        targets = [f"--{kind}_out={ROOT}" for kind in kinds]
        if protoc.main(["protoc", f"-I{ROOT}", *targets, *map(str, sources)]) != 0:
            sys.exit("protoc failed: the messages above name file and line")

    run(("python", "pyi"), proto_files())
    run(("grpc_python",), [path for path in proto_files() if has_service(path)])
    DIGEST_FILE.write_text(source_digest())


if __name__ == "__main__":
    generate()
