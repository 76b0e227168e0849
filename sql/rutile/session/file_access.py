"""Which files statements may read and write where the SQL runs: MySQL's secure_file_priv.

secure_file_priv     IMPORT INTO ... FROM 'file', SELECT ... INTO OUTFILE
None (NULL)          refused: what a server does unless told otherwise
a directory          files in it or below, links followed
"" (empty)           any file the process may: a database within one's own process
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from rutile.errors import SqlError

ER_FILE_EXISTS = 1086
ER_OPTION_PREVENTS_STATEMENT = 1290
ER_FILE_NOT_FOUND = 1105


@dataclass(frozen=True, slots=True)
class FileAccess:
    """What secure_file_priv says."""

    secure_file_priv: str | None = None

    def to_read(self, path: str) -> Path:
        """The file to read. Raises 1290 when it lies where nothing may be read."""
        return self._allowed(Path(path))

    def to_write(self, path: str) -> Path:
        """The file to make. Raises 1290, 1086 when it is there already, 1105 when its directory is not."""
        allowed = self._allowed(Path(path))
        if allowed.exists():
            raise SqlError(ER_FILE_EXISTS, f"File '{path}' already exists")
        if not allowed.parent.is_dir():
            raise SqlError(ER_FILE_NOT_FOUND, f"'{path}': there is no directory {allowed.parent}")
        return allowed

    def _allowed(self, path: Path) -> Path:
        whole = path.resolve()
        if self.secure_file_priv == "":
            return whole
        if self.secure_file_priv is None or not whole.is_relative_to(Path(self.secure_file_priv).resolve()):
            raise SqlError(
                ER_OPTION_PREVENTS_STATEMENT,
                "The MySQL server is running with the --secure-file-priv option so it cannot execute this statement"
                " (it names the one directory whose files statements may use; without it, none)",
            )
        return whole


NOWHERE = FileAccess(None)
EVERYWHERE = FileAccess("")
