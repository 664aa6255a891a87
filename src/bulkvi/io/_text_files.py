"""The text of a file: unpacked and decoded, with an error that names the reason where it cannot be."""

import bz2
import gzip
import lzma
import re
import warnings
import zipfile
import zlib
from collections.abc import Callable
from io import BytesIO
from pathlib import Path, PurePosixPath
from typing import Final

ZIP: Final = b"PK\x03\x04"
EMPTY_ZIP: Final = b"PK\x05\x06"
OLE: Final = b"\xd0\xcf"
PACKED: Final[dict[bytes, tuple[str, Callable[[bytes], bytes]]]] = {
    b"\x1f\x8b": ("gzip", gzip.decompress),
    b"BZh": ("bzip2", bz2.decompress),
    b"\xfd7zXZ\x00": ("xz", lzma.decompress),
}
DAMAGED: Final = (EOFError, OSError, ValueError, zlib.error, lzma.LZMAError, zipfile.BadZipFile, NotImplementedError)
"""What the libraries of packed files raise where one is cut off or damaged."""
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
BINARY: Final = re.compile(r"[\x00-\x08\x0e-\x1f\x7f]")
GIVE: Final = "Give .csv, .tsv, .xlsx or .h5ad"


def unpack(path: Path) -> bytes:
    """Content of a file, taken out of ``.gz``, ``.bz2``, ``.xz`` or a ``.zip`` with one file in it.

    Raises
    ------
    ValueError
        If it is cut off or damaged, or the archive holds several files.
    """
    content = path.read_bytes()
    for _ in range(3):  # a packed file may have been packed again
        kind = next((packed for mark, packed in PACKED.items() if content.startswith(mark)), None)
        if kind is None and (not content.startswith((ZIP, EMPTY_ZIP)) or _is_workbook(content, path)):
            return content
        name, unpacked = kind or ("zip", lambda packed: _only_member(packed, path))
        try:
            content = unpacked(content)
        except DAMAGED as error:
            if isinstance(error, ArchiveError):
                raise
            raise cut_off(path, name) from error
    return content


class ArchiveError(ValueError):
    """An archive that is sound and does not hold one table."""


def cut_off(path: Path, kind: str) -> ValueError:
    """The error about a file that ends too early or is damaged."""
    return ValueError(
        f"{path} is cut off or damaged: it cannot be read as {kind} to its end. Download or copy it again, and compare its size with "
        "the original."
    )


def _is_workbook(content: bytes, path: Path) -> bool:
    try:
        names = zipfile.ZipFile(BytesIO(content)).namelist()
    except zipfile.BadZipFile as error:
        raise cut_off(path, "xlsx" if path.suffix.lower() in (".xlsx", ".xlsm") else "zip") from error
    if "xl/workbook.xml" in names:
        return True
    if "mimetype" in names and "content.xml" in names:
        raise ValueError(f"{path} is a spreadsheet of OpenDocument (.ods): save it as .xlsx or .csv.")
    return False


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
            raise ArchiveError(
                f"{path} holds {len(members)} files{f': {names[:8]}' if names else ''}. Extract them and give the one with the table."
            )
        if members[0].flag_bits & 1:
            raise ArchiveError(f"{path} is protected by a password. Extract the file and give it.")
        return archive.read(members[0])


def decode(content: bytes, path: Path) -> str:
    """Text of a file, its lines ended by line feeds.

    UTF-8 is expected; UTF-16 is recognised with and without its mark. Other text is read as Windows-1252 (Western
    European), with a warning that shows what was read.

    Raises
    ------
    ValueError
        If this is no text.
    """
    other = next((kind for mark, kind in OTHER_KINDS.items() if content.startswith(mark)), None)
    if other is None and content[257:262] == b"ustar":
        other = "a tar archive: extract it, and give the table in it"
    if content.startswith(OLE):
        raise ValueError(
            f"{path} is a spreadsheet of the old kind (.xls), or one protected by a password: save it as .xlsx without a "
            "password, or as text (.csv or .tsv)."
        )
    if other is not None:
        raise ValueError(f"{path} is no table but {other}. {GIVE}.")
    text = _decoded(content, path).removeprefix("\ufeff").removesuffix("\x1a")
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    found = BINARY.search(text)
    if found:
        line = text.count("\n", 0, found.start()) + 1
        raise ValueError(
            f"{path} is no text file, or is damaged: line {line} holds the control character {ord(found[0]):#04x}. {GIVE}; "
            "download or copy the file again."
        )
    if re.match(r"\s*<(!doctype|html|\?xml|table)", text[:200], re.IGNORECASE):
        raise ValueError(
            f"{path} is a web page (HTML or XML), whatever its name says. Open it in a spreadsheet and save it as .xlsx or .csv; if "
            "it was downloaded, look whether it is an error page."
        )
    return re.sub("[\x0b\x0c]", " ", text)


def _decoded(content: bytes, path: Path) -> str:
    encoding = _utf_16(content)
    try:
        return content.decode(encoding or "utf-8")
    except UnicodeDecodeError as error:
        if encoding is not None:
            raise ValueError(
                f"{path} begins as UTF-16 text and is cut off or damaged. Save it again as 'CSV UTF-8'."
            ) from error
        line = content.count(b"\n", 0, error.start) + 1
        refusal = f"{path} is not a text file in UTF-8 (line {line}). {GIVE}; a text from a spreadsheet is saved as 'CSV UTF-8'."
        try:
            text = content.decode("cp1252")
        except UnicodeDecodeError:
            raise ValueError(refusal) from error
        wrong = re.compile("[^\x00-\x7f]")
        if BINARY.search(text) or not all(map(str.isprintable, set(wrong.findall(text)) - {"\xa0", "\xad"})):
            raise ValueError(refusal) from error
        words = list(dict.fromkeys(re.findall(r"\w*[^\x00-\x7f][\w]*", text)))
        warnings.warn(
            f"{path.name}: this text is not in UTF-8 and was read as Windows-1252 (Western European, of which Latin-1 is a part), "
            f"first {words[0]!r} in line {line}. If that is not what it should be, save the file as 'CSV UTF-8'.",
            UserWarning,
            stacklevel=2,
        )
        return text


def _utf_16(content: bytes) -> str | None:
    """Encoding of a text in UTF-16 or UTF-32: by its mark, or because every second byte of the beginning is zero."""
    marks = {
        b"\xff\xfe\x00\x00": "utf-32",
        b"\x00\x00\xfe\xff": "utf-32",
        b"\xff\xfe": "utf-16",
        b"\xfe\xff": "utf-16",
    }
    for mark, encoding in marks.items():
        if content.startswith(mark):
            return encoding
    start = content[:4096]
    if len(start) < 4:
        return None
    even, odd = (sum(not byte for byte in start[k::2]) / len(start[k::2]) for k in (0, 1))
    if min(even, odd) > 0.05 or max(even, odd) < 0.6:
        return None
    return "utf-16-be" if even > odd else "utf-16-le"
