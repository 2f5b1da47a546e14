"""One picture: a file, encoded bytes, or a picture in memory."""

from __future__ import annotations

import hashlib
import io
import re
import threading
import warnings
from collections import OrderedDict
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from PIL import ExifTags, Image, UnidentifiedImageError

from vantage.errors import PictureError

if TYPE_CHECKING:
    from vantage.pictures.mappings import GreyMapping

MAX_PIXELS = 64_000_000
"""Pictures of more pixels are refused before they are decoded; a guard against decompression bombs."""

KEPT_BYTES = 128 * 2**20
"""Decoded pictures of files and bytes that stay in memory, so that one asked for again is not decoded again."""

_EIGHT_BIT = {"1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr", "HSV", "LAB"}
FORMATS = ("JPEG", "PNG", "BMP", "DIB", "GIF", "PPM", "TIFF", "WEBP", "JPEG2000", "AVIF")
"""Formats that are read, where Pillow has them; those that it hands to another program, such as EPS, are not."""

_AS_PNG = {"1", "L", "LA", "P", "RGB", "RGBA", "I;16"}
"""Modes of pictures in memory that a PNG holds without loss; others become TIFF."""

_TRANSPARENT = {"RGBA", "LA", "PA"}
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
    _digest: str = field(default="", init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if not isinstance(self.image, (str, Path, bytes, Image.Image)):
            raise PictureError(f"a picture is a path or a PIL image, not {type(self.image).__name__}: {self.image!r}")
        if not isinstance(self.sha256, str) or (self.sha256 and not _SHA256.fullmatch(self.sha256)):
            raise PictureError(f"a sha256 is 64 digits 0-9a-f, not {self.sha256!r}")
        if not isinstance(self.mapping, str):
            raise PictureError(f"a mapping is a text such as depth, not {self.mapping!r}")
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
        """Decode to 8-bit RGB at full size, on white where it is transparent; the picture is the caller's to change.

        Files and bytes decoded lately are kept, so that a picture which several prompts show is decoded once.

        Raises:
            PictureError: as ``size``, or the file is cut short, is not the one that ``sha256`` names, or its values are
                not 8-bit and no mapping is named: how 16-bit or floating-point values become grey levels or colours is
                never guessed.
        """
        key = self._key()
        kept = _kept.get(key) if key is not None else None
        if kept is None:
            kept = self._decode()
            if key is not None:
                _kept.put(key, kept)
        return kept.copy()

    def content(self) -> bytes:
        """The encoded picture: the file's bytes as they are.

        A picture in memory becomes a PNG, or a TIFF where a PNG would lose something.

        Raises:
            PictureError: the file cannot be read, or is not the one that ``sha256`` names; or a picture in memory is of
                a mode that neither holds.
        """
        if isinstance(self.image, Image.Image):
            return _encoded(self.image, self.ref)
        try:
            content = self.image if isinstance(self.image, bytes) else Path(self.image).read_bytes()
        except FileNotFoundError as error:
            raise PictureError(f"{self.ref}: no such file") from error
        except (OSError, ValueError) as error:
            raise PictureError(f"{self.ref}: not a readable picture ({error})") from error
        if self.sha256 and self._hashed(content) != self.sha256:
            raise PictureError(f"{self.ref}: this is not the picture of sha256 {self.sha256}; its content has changed")
        return content

    def digest(self) -> str:
        """SHA-256 of ``content()`` in hexadecimal.

        Raises:
            PictureError: as ``content``.
        """
        return self._hashed(self.content())

    def _hashed(self, content: bytes) -> str:
        """SHA-256 of the content; of bytes, which do not change, it is computed once."""
        if not isinstance(self.image, bytes):
            return hashlib.sha256(content).hexdigest()
        if not self._digest:
            object.__setattr__(self, "_digest", hashlib.sha256(content).hexdigest())
        return self._digest

    def _key(self) -> tuple[object, ...] | None:
        if isinstance(self.image, bytes):
            return self._hashed(self.image), self.sha256, self.mapping
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
                    f"{self.ref}: mode {image.mode} is not 8-bit; name a mapping, which says how its values become "
                    "grey levels: depth, depth-inverse, depth-channels, thermal or high-byte, as in ?mapping=depth "
                    "where a data set is named, {'path': ..., 'mapping': 'depth:300-8000'} in a row, or --mapping "
                    "NAME=depth of a command"
                )
            if _deep(image) and self.mapping != "high-byte":
                raise PictureError(
                    f"{self.ref}: mode {image.mode} of 16 bits a channel is not 8-bit; name the mapping high-byte to "
                    "take the upper eight (see vantage.pictures.mappings)"
                )
            orientation = _orientation(image)
            try:
                loaded = _rgb(image) if image.mode in _EIGHT_BIT else _mapping(self.mapping)(image)
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
                image = open_image(file)
            except FileNotFoundError as error:
                raise PictureError(f"{self.ref}: no such file") from error
            except (UnidentifiedImageError, Image.DecompressionBombError, OSError, ValueError) as error:
                raise PictureError(f"{self.ref}: not a readable picture ({error})") from error
        width, height = image.size
        if width * height > MAX_PIXELS:
            raise PictureError(f"{self.ref}: {width}x{height} is more than {MAX_PIXELS:,} pixels; refused undecoded")
        return image


def open_image(file: str | Path | BinaryIO) -> Image.Image:
    """Read a picture's header; ``FORMATS`` alone are read.

    Raises:
        OSError, ValueError, Image.DecompressionBombError: as ``PIL.Image.open``.
    """
    with warnings.catch_warnings():
        # Pillow's own bomb warning comes at a size of its choosing; ours is an error at MAX_PIXELS.
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        return Image.open(file, formats=_formats())


@lru_cache(maxsize=1)
def _formats() -> tuple[str, ...]:
    Image.init()
    return tuple(form for form in FORMATS if form in Image.OPEN)


def _rgb(image: Image.Image) -> Image.Image:
    """A picture of 8 bits as RGB, on white where it is transparent; never the same object."""
    if image.mode in _TRANSPARENT or "transparency" in image.info:
        clear = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", clear.size, "white"), clear).convert("RGB")
    return image.convert("RGB") if image.mode != "RGB" else image.copy()


def _deep(image: Image.Image) -> bool:
    """Whether a picture of several channels has 16 bits in each, which Pillow would cut to 8 without a word."""
    # Pillow opens such a PNG or TIFF as RGB, and tells what the file holds in the arguments of its decoder alone.
    tiles = getattr(image, "tile", ())
    if image.format == "PPM":
        return image.mode == "RGB" and any(isinstance(tile[3], tuple) and tile[3][-1] > 255 for tile in tiles)
    return image.mode in _EIGHT_BIT and any(";16" in str(tile[3]) for tile in tiles)


def _encoded(picture: Image.Image, ref: str) -> bytes:
    """A picture in memory as a file's bytes, upright."""
    buffer = io.BytesIO()
    try:
        orientation = _orientation(picture)
        upright = picture.transpose(_UPRIGHT[orientation]) if orientation > 1 else picture
        upright.save(buffer, "PNG" if picture.mode in _AS_PNG else "TIFF")
        if picture.mode not in _AS_PNG:
            # Some modes are written and read back as another, or not at all.
            again = Image.open(io.BytesIO(buffer.getvalue()), formats=("TIFF",))
            if again.mode != upright.mode or again.tobytes() != upright.tobytes():
                raise ValueError(f"a TIFF gives it back as {again.mode}")
    except (OSError, ValueError, KeyError) as error:
        raise PictureError(
            f"{ref}: a picture of mode {picture.mode} cannot be kept without loss ({error}); give one of mode "
            f"{', '.join(sorted(_AS_PNG))}"
        ) from error
    return buffer.getvalue()


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
