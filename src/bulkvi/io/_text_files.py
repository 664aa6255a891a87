"""The text of a file: unpacked and decoded, with an error that names the reason where it cannot be."""

import bz2
import gzip
import lzma
import re
import zipfile
import zlib
from collections.abc import Callable
from io import BytesIO
from pathlib import Path, PurePosixPath
from typing import IO, Any, Final

from bulkvi.arguments import warn_user

ZIP: Final = b"PK\x03\x04"
EMPTY_ZIP: Final = b"PK\x05\x06"
OLE: Final = b"\xd0\xcf"
PACKED: Final[dict[bytes, tuple[str, Callable[..., Any]]]] = {
    b"\x1f\x8b": ("gzip", gzip.open),
    b"BZh": ("bzip2", bz2.open),
    b"\xfd7zXZ\x00": ("xz", lzma.open),
}
DAMAGED: Final = (EOFError, OSError, ValueError, zlib.error, lzma.LZMAError, zipfile.BadZipFile, NotImplementedError)
"""Errors of the libraries for packed files if a file is cut off or damaged."""
OTHER_KINDS: Final = {
    b"\x89HDF": "an HDF5 file: if it holds an AnnData, name it .h5ad",
    b"%PDF": "a PDF",
    b"PAR1": "a Parquet file",
    b"RDX": "R data",
    b"X\n\x00\x00\x00": "R data (.rds): write the table from R with write.csv",
    b"7z\xbc\xaf": "a 7z archive: extract its files",
    b"Rar!": "a RAR archive: extract its files",
    b"{": "JSON",
}
UTF_MARKS: Final = {
    b"\xff\xfe\x00\x00": "utf-32",
    b"\x00\x00\xfe\xff": "utf-32",
    b"\xff\xfe": "utf-16",
    b"\xfe\xff": "utf-16",
}
BINARY: Final = re.compile(r"[\x00-\x08\x0e-\x1f\x7f]")
GIVE: Final = "Give .csv, .tsv, .xlsx or .h5ad"


class UnreadableError(ValueError):
    """A file that cannot be read; ``problem`` is the predicate of a sentence about it."""

    def __init__(self, path: Path, problem: str, remedy: str):
        super().__init__(f"{path} {problem}. {remedy}.")
        self.problem = problem


def cut_off(path: Path, kind: str) -> UnreadableError:
    """Return the error about a file that ends too early or is damaged."""
    problem = f"is cut off or damaged: it cannot be read as {kind} to its end"
    return UnreadableError(path, problem, "Download or copy it again, and compare its size with the original")


def read_text(path: Path, *, only_utf: bool = False) -> str:
    """Return the text of a file, packed or not, with line feeds at the ends of lines; ``only_utf`` as in `decode`."""
    return decode(unpack(path), path, only_utf=only_utf)


def read_beginning(path: Path, n_bytes: int) -> str:
    """Return the text of the first bytes of a file, unpacked; empty if it is no text."""
    try:
        with open_unpacked(path, "rb") as file:
            content = file.read(n_bytes)
    except DAMAGED:
        return ""
    text = content.decode(_utf_16(content) or "utf-8-sig", errors="replace")
    return "" if "\0" in text else text


def open_unpacked(path: Path, mode: str, **options: Any) -> IO[Any]:
    """Open a file that may be packed as gzip, bzip2 or xz."""
    with path.open("rb") as raw:
        packing = _packing(raw.read(6))
    opened: IO[Any] = (packing[1] if packing else open)(path, mode, **options)
    return opened


def _packing(content: bytes) -> tuple[str, Callable[..., Any]] | None:
    return next((packing for mark, packing in PACKED.items() if content.startswith(mark)), None)


def unpack(path: Path) -> bytes:
    """Return the content of a file, taken out of ``.gz``, ``.bz2``, ``.xz`` or a ``.zip`` with one file in it."""
    try:
        content = path.read_bytes()
    except FileNotFoundError as error:
        if not path.is_symlink():
            raise
        raise UnreadableError(path, "is a link to a file that does not exist", "Restore that file") from error
    except OSError as error:
        raise UnreadableError(path, f"cannot be read: {error.strerror}", "Look at the file's permissions") from error
    for _ in range(3):  # a packed file may have been packed again
        packing = _packing(content)
        if packing is None and (not content.startswith((ZIP, EMPTY_ZIP)) or _is_workbook(content, path)):
            return content
        try:
            content = packing[1](BytesIO(content)).read() if packing else _only_member(content, path)
        except UnreadableError:
            raise
        except DAMAGED as error:
            raise cut_off(path, packing[0] if packing else "zip") from error
    return content


def _is_workbook(content: bytes, path: Path) -> bool:
    try:
        names = zipfile.ZipFile(BytesIO(content)).namelist()
    except zipfile.BadZipFile as error:
        raise cut_off(path, "xlsx" if path.suffix.lower() in (".xlsx", ".xlsm") else "zip") from error
    if "mimetype" in names and "content.xml" in names:
        raise UnreadableError(path, "is a spreadsheet of OpenDocument (.ods)", "Save it as .xlsx or .csv")
    return "xl/workbook.xml" in names


def _only_member(content: bytes, path: Path) -> bytes:
    with zipfile.ZipFile(BytesIO(content)) as archive:
        members = [
            member
            for member in archive.infolist()
            if not member.is_dir()
            and not member.filename.startswith("__MACOSX/")
            and not PurePosixPath(member.filename).name.startswith(".")
        ]
        if len(members) != 1:
            names = [member.filename for member in members]
            shown = f": {names[:8]}" if names else ""
            raise UnreadableError(
                path, f"holds {len(members)} files{shown}", "Extract them and give the one with the table"
            )
        if members[0].flag_bits & 1:
            raise UnreadableError(path, "is protected by a password", "Extract the file and give it")
        return archive.read(members[0])


def decode(content: bytes, path: Path, *, only_utf: bool = False) -> str:
    """Return the text of a file, with line feeds at the ends of lines.

    UTF-8 is expected; UTF-16 is recognised with and without its mark. Other text is read as Windows-1252 (Western
    European), with a warning that shows an example; with ``only_utf`` it is refused.
    """
    if content.startswith(OLE):
        raise UnreadableError(
            path,
            "is a spreadsheet of the old kind (.xls), or one protected by a password",
            "Save it as .xlsx without a password, or as text (.csv or .tsv)",
        )
    other = next((kind for mark, kind in OTHER_KINDS.items() if content.startswith(mark)), None)
    if other is None and content[257:262] == b"ustar":
        other = "a tar archive: extract it, and give the table in it"
    if other is not None:
        raise UnreadableError(path, f"is no table but {other}", GIVE)
    text = _decoded(content, path, only_utf=only_utf).removeprefix("\ufeff").removesuffix("\x1a")
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    control = BINARY.search(text)
    if control:
        line = text.count("\n", 0, control.start()) + 1
        raise UnreadableError(
            path,
            f"is no text file, or is damaged: line {line} holds the control character {ord(control[0]):#04x}",
            f"{GIVE}; download or copy the file again",
        )
    if re.match(r"\s*<(!doctype|html|\?xml|table)", text[:200], re.IGNORECASE):
        raise UnreadableError(
            path,
            "is a web page (HTML or XML), whatever its name",
            "Open it in a spreadsheet and save it as .xlsx or .csv; if it was downloaded, it may be an error page",
        )
    return re.sub("[\x0b\x0c]", " ", text)


def _decoded(content: bytes, path: Path, *, only_utf: bool) -> str:
    encoding = _utf_16(content)
    try:
        return content.decode(encoding or "utf-8")
    except UnicodeDecodeError as error:
        if encoding is not None:
            raise UnreadableError(
                path, "begins as UTF-16 text and is cut off or damaged", "Save it again as 'CSV UTF-8'"
            ) from error
        line = content.count(b"\n", 0, error.start) + 1
        remedy = f"{GIVE}; save a text from a spreadsheet as 'CSV UTF-8'"
        refusal = UnreadableError(path, f"is not a text file in UTF-8 (line {line})", remedy)
        try:
            text = content.decode("cp1252")
        except UnicodeDecodeError:
            raise refusal from error
        special = set(re.findall("[^\x00-\x7f]", text)) - {"\xa0", "\xad"}
        if only_utf or BINARY.search(text) or not all(map(str.isprintable, special)):
            raise refusal from error
        example = re.findall(r"\w*[^\x00-\x7f]\w*", text)[0]
        warn_user(
            f"{path.name}: this text is not in UTF-8 and was read as Windows-1252 (Western European, which includes Latin-1), "
            f"first {example!r} in line {line}. If that is wrong, save the file as 'CSV UTF-8'."
        )
        return text


def _utf_16(content: bytes) -> str | None:
    """Return the encoding of a text in UTF-16 or UTF-32: by its mark, or because every second byte is zero at the beginning."""
    for mark, encoding in UTF_MARKS.items():
        if content.startswith(mark):
            return encoding
    start = content[:4096]
    if len(start) < 4:
        return None
    even, odd = (sum(not byte for byte in start[k::2]) / len(start[k::2]) for k in (0, 1))
    if min(even, odd) > 0.05 or max(even, odd) < 0.6:
        return None
    return "utf-16-be" if even > odd else "utf-16-le"
