"""One picture: a file, encoded bytes, or a picture in memory."""

from __future__ import annotations

import hashlib
import io
import re
import threading
import warnings
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import ExifTags, Image, UnidentifiedImageError

from vantage.errors import PictureError

if TYPE_CHECKING:
    from vantage.pictures.mappings import GreyMapping

MAX_PIXELS = 64_000_000
"""Pictures of more pixels are refused before they are decoded; a guard against decompression bombs."""

KEPT_BYTES = 128 * 2**20
"""Decoded pictures of files that stay in memory, so that one asked for again is not decoded again."""

_EIGHT_BIT = {"1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr", "HSV", "LAB"}
_SHA256 = re.compile(r"[0-9a-f]{64}")

_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""What makes a picture upright, by the EXIF orientation that a camera wrote; 5 to 8 swap width and height."""


@dataclass(frozen=True, slots=True)
class Source:
    """One picture of a scene, upright: an EXIF orientation is applied, as image viewers and OpenCV do.

    Args:
        image: a file, a file's bytes, or a picture in memory.
        ref: how logs and reports name it; the path of a file unless given.
        sha256: what the file's bytes hash to, in hexadecimal; checked when the picture is decoded. Empty: not checked.
        mapping: how values of more than 8 bits become RGB, such as ``depth``; see ``vantage.pictures.mappings``.
            Without it such a picture is an error.

    Raises:
        PictureError: an image or a hash of another form.
        ConfigError: a mapping that does not exist.
    """

    image: str | Path | bytes | Image.Image
    ref: str = ""
    sha256: str = ""
    mapping: str = ""

    def __post_init__(self) -> None:
        if not isinstance(self.image, (str, Path, bytes, Image.Image)):
            raise PictureError(f"a picture is a path or a PIL image, not {type(self.image).__name__}: {self.image!r}")
        if self.sha256 and not (isinstance(self.sha256, str) and _SHA256.fullmatch(self.sha256)):
            raise PictureError(f"a sha256 is 64 digits 0-9a-f, not {self.sha256!r}")
        if self.mapping:
            _mapping(self.mapping)
        if not self.ref:
            ref = str(self.image) if isinstance(self.image, (str, Path)) else "<picture in memory>"
            object.__setattr__(self, "ref", ref)

    def size(self) -> tuple[int, int]:
        """Width and height in pixels, read from the file's header without decoding it.

        Raises:
            PictureError: the file is missing, is no picture, or holds more than ``MAX_PIXELS``.
        """
        with self._open() as image:
            width, height = image.size
            return (height, width) if _orientation(image) >= 5 else (width, height)

    def load(self) -> Image.Image:
        """Decode to 8-bit RGB at full size; the picture is the caller's to change.

        Files decoded lately are kept, so that a picture which several prompts show is decoded once.

        Raises:
            PictureError: as ``size``, or the file is cut short, is not the one that ``sha256`` names, or its values are
                not 8-bit and no mapping is named: how 16-bit or floating-point depth becomes grey levels is never
                guessed.
        """
        key = self._key()
        kept = _kept.get(key) if key is not None else None
        if kept is None:
            kept = self._decode()
            if key is not None:
                _kept.put(key, kept)
        return kept.copy()

    def content(self) -> bytes:
        """The encoded picture: the file's bytes as they are; a picture in memory becomes a PNG.

        Raises:
            PictureError: the file cannot be read, or is not the one that ``sha256`` names.
        """
        if isinstance(self.image, Image.Image):
            buffer = io.BytesIO()
            self.image.save(buffer, "PNG")
            return buffer.getvalue()
        try:
            content = self.image if isinstance(self.image, bytes) else Path(self.image).read_bytes()
        except FileNotFoundError as error:
            raise PictureError(f"{self.ref}: no such file") from error
        except (OSError, ValueError) as error:
            raise PictureError(f"{self.ref}: not a readable picture ({error})") from error
        if self.sha256 and hashlib.sha256(content).hexdigest() != self.sha256:
            raise PictureError(f"{self.ref}: this is not the picture of sha256 {self.sha256}; its content has changed")
        return content

    def digest(self) -> str:
        """SHA-256 of ``content()`` in hexadecimal.

        Raises:
            PictureError: as ``content``.
        """
        return hashlib.sha256(self.content()).hexdigest()

    def _key(self) -> tuple[object, ...] | None:
        if not isinstance(self.image, (str, Path)):
            return None
        try:
            stat = Path(self.image).stat()
        except (OSError, ValueError):
            return None  # decoding tells what is wrong
        return str(self.image), stat.st_mtime_ns, stat.st_size, stat.st_ino, self.sha256, self.mapping

    def _decode(self) -> Image.Image:
        with self._open(whole=bool(self.sha256)) as image:
            if image.mode not in _EIGHT_BIT and not self.mapping:
                raise PictureError(
                    f"{self.ref}: mode {image.mode} is not 8-bit; say how its values become grey levels by naming a "
                    "mapping, such as depth or thermal (see vantage.pictures.mappings)"
                )
            orientation = _orientation(image)
            try:
                if image.mode not in _EIGHT_BIT:
                    loaded = _mapping(self.mapping)(image)
                else:
                    loaded = image.convert("RGB") if image.mode != "RGB" else image.copy()
                return loaded.transpose(_UPRIGHT[orientation]) if orientation > 1 else loaded
            except (OSError, SyntaxError, ValueError) as error:
                raise PictureError(f"{self.ref}: the picture is corrupt or cut short ({error})") from error

    def _open(self, whole: bool = False) -> Image.Image:
        if isinstance(self.image, Image.Image):
            # A context manager closes what it is given, and this picture is the caller's.
            image = self.image.copy() if self.image.size[0] * self.image.size[1] <= MAX_PIXELS else self.image
        else:
            file = io.BytesIO(self.content()) if whole or isinstance(self.image, bytes) else self.image
            try:
                with warnings.catch_warnings():
                    # Pillow's own bomb warning comes at a size of its choosing; ours is an error at MAX_PIXELS.
                    warnings.simplefilter("ignore", Image.DecompressionBombWarning)
                    image = Image.open(file)
            except FileNotFoundError as error:
                raise PictureError(f"{self.ref}: no such file") from error
            except (UnidentifiedImageError, Image.DecompressionBombError, OSError, ValueError) as error:
                raise PictureError(f"{self.ref}: not a readable picture ({error})") from error
        width, height = image.size
        if width * height > MAX_PIXELS:
            raise PictureError(f"{self.ref}: {width}x{height} is more than {MAX_PIXELS:,} pixels; refused undecoded")
        return image


def _mapping(text: str) -> GreyMapping:
    from vantage.pictures.mappings import GreyMapping  # here, so that `import vantage` needs no NumPy

    return GreyMapping.parse(text)


def _orientation(image: Image.Image) -> int:
    """EXIF orientation, 1 where there is none; read without decoding the picture."""
    if image.format == "TIFF":
        return 1  # Pillow turns TIFF itself
    # The method of the base class: that of PNG decodes the picture to look behind it.
    orientation = Image.Image.getexif(image).get(ExifTags.Base.Orientation, 1)
    return orientation if orientation in _UPRIGHT else 1


class _Kept:
    """Decoded pictures, those used last; bounded by their bytes. Threads may share it."""

    def __init__(self) -> None:
        self._pictures: OrderedDict[tuple[object, ...], Image.Image] = OrderedDict()
        self._bytes = 0
        self._lock = threading.Lock()

    def get(self, key: tuple[object, ...]) -> Image.Image | None:
        with self._lock:
            if key in self._pictures:
                self._pictures.move_to_end(key)
            return self._pictures.get(key)

    def put(self, key: tuple[object, ...], picture: Image.Image) -> None:
        weight = _weight(picture)
        with self._lock:
            if weight > KEPT_BYTES or key in self._pictures:
                return
            self._pictures[key] = picture
            self._bytes += weight
            while self._bytes > KEPT_BYTES:
                self._bytes -= _weight(self._pictures.popitem(last=False)[1])


def _weight(picture: Image.Image) -> int:
    # Pillow keeps RGB in four bytes a pixel.
    return 4 * picture.width * picture.height


_kept = _Kept()
