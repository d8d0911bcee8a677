#!/usr/bin/env python3
"""Writes images/: small files of every kind that is decoded, and images.json: what Pillow makes of them, as 64-bit FNV-1a hashes.

    python3 make_images.py        (needs Pillow 13, numpy)

Each entry: file, size after the Exif orientation, and the hashes of the pixels as they are decoded ("own", with their format),
of convert("RGB"), of the composite on white as transformers 5 makes it, and of the upright image as load_image makes it.
Refused files are made from good ones: cut short, or with a byte flipped where that must be seen.
"""
import io
import json
import pathlib
import struct
import zlib

import numpy
import PIL
from PIL import Image, ImageOps, PngImagePlugin

from common import fnv

HERE = pathlib.Path(__file__).parent
PLACE = HERE / "images"


def picture(width, height, channels, seed):
    """Smooth colours with some detail, so that every stage of a JPEG matters."""
    rng = numpy.random.default_rng(seed)
    y, x = numpy.meshgrid(numpy.arange(height), numpy.arange(width), indexing="ij")
    planes = [127 + 90 * numpy.sin((x * (c + 1) + y * (3 - c)) / 7.0 + c) + rng.normal(0, 18, (height, width)) for c in range(channels)]
    return numpy.clip(numpy.stack(planes, -1), 0, 255).astype(numpy.uint8)


def chunk(name, data):
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def png(width, height, depth, kind, rows, extra=b"", interlace=0):
    """Kinds that Pillow does not write."""

    raw = b"".join(b"\0" + r for r in rows)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, kind, 0, 0, interlace)) + extra + chunk(b"IDAT", zlib.compress(raw)) + chunk(b"IEND", b"")


def files():
    rgb = Image.fromarray(picture(37, 29, 3, 1))
    gray = Image.fromarray(picture(37, 29, 1, 2)[..., 0])
    rgba = Image.fromarray(picture(37, 29, 4, 3))
    cmyk = Image.fromarray(picture(37, 29, 4, 4), "CMYK")

    def saved(image, kind, **options):
        out = io.BytesIO()
        image.save(out, kind, **options)
        return out.getvalue()

    for name, sampling in (("444", 0), ("422", 1), ("420", 2)):
        for progressive in (False, True):
            yield f"{name}{'-progressive' if progressive else ''}.jpg", saved(rgb, "JPEG", quality=85, subsampling=sampling, progressive=progressive)
    yield "low.jpg", saved(rgb, "JPEG", quality=12)
    yield "restart.jpg", saved(rgb, "JPEG", quality=80, restart_marker_blocks=2)
    yield "gray.jpg", saved(gray, "JPEG", quality=85)
    yield "gray-progressive.jpg", saved(gray, "JPEG", quality=85, progressive=True)
    yield "cmyk.jpg", saved(cmyk, "JPEG", quality=85)
    yield "rgb-kept.jpg", saved(rgb, "JPEG", quality=85, keep_rgb=True)
    yield "pixel.jpg", saved(rgb.crop((0, 0, 1, 1)), "JPEG")
    yield "wide.jpg", saved(rgb.resize((130, 3)), "JPEG", subsampling=2)
    for orientation in range(1, 9):
        exif = Image.Exif()
        exif[0x0112] = orientation
        yield f"exif-{orientation}.jpg", saved(rgb, "JPEG", quality=85, exif=exif)
    exif = Image.Exif()
    exif[0x0112] = 6
    big = b"MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x08\0\0\0\0\0\0"
    yield "exif-big-endian.jpg", saved(rgb, "JPEG", exif=b"Exif\0\0" + big)
    yield "exif.png", saved(rgb, "PNG", exif=exif)
    yield "exif.webp", saved(rgb, "WEBP", exif=exif, quality=80)
    attribute, element = (b'<x:xmpmeta><rdf:Description ' + v + b"</rdf:Description></x:xmpmeta>" for v in (b'tiff:Orientation="6">', b"> <tiff:Orientation>8</tiff:Orientation>"))
    yield "xmp.jpg", saved(rgb, "JPEG", xmp=attribute)
    yield "xmp-element.jpg", saved(rgb, "JPEG", xmp=element)
    yield "xmp-beside-exif.jpg", saved(rgb, "JPEG", xmp=element, exif=exif)
    odd = b'<a tiff:Orientation=6 tiff:Orientation="x" tiff:Orientation="3" tiff:Orientation="8">'
    yield "xmp-odd.webp", saved(rgb, "WEBP", xmp=odd, quality=80)
    text = PngImagePlugin.PngInfo()
    text.add_itxt("XML:com.adobe.xmp", attribute.decode(), zip=True)
    yield "xmp.png", saved(rgb, "PNG", pnginfo=text)

    yield "rgb.png", saved(rgb, "PNG")
    yield "gray.png", saved(gray, "PNG")
    yield "rgba.png", saved(rgba, "PNG")
    yield "gray-alpha.png", saved(Image.merge("LA", rgba.split()[:2]), "PNG")
    yield "palette.png", saved(rgb.quantize(200), "PNG")
    yield "palette-4.png", saved(rgb.quantize(13), "PNG", bits=4)
    yield "palette-2.png", saved(rgb.quantize(4), "PNG", bits=2)
    yield "palette-1.png", saved(rgb.quantize(2), "PNG", bits=1)
    yield "palette-key.png", saved(rgb.quantize(16), "PNG", transparency=3)
    yield "palette-alpha.png", saved(rgb.quantize(16), "PNG", transparency=bytes(range(0, 256, 16)))
    yield "bits.png", saved(gray.point(lambda v: 255 * (v > 127)).convert("1"), "PNG")
    yield "rgb-key.png", saved(rgb, "PNG", transparency=rgb.getpixel((5, 5)))
    yield "gray-key.png", saved(gray, "PNG", transparency=gray.getpixel((5, 5)))
    noise = numpy.random.default_rng(5).integers(0, 256, (29, 400), dtype=numpy.uint8)
    yield "gray-2.png", png(37, 29, 2, 0, [r[:10].tobytes() for r in noise])
    yield "gray-4.png", png(37, 29, 4, 0, [r[:19].tobytes() for r in noise])
    yield "gray-16.png", png(37, 29, 16, 0, [(r[:74] // (1 + 254 * (numpy.arange(74) % 4 == 0))).astype(numpy.uint8).tobytes() for r in noise])
    yield "gray-alpha-16.png", png(37, 29, 16, 4, [r[:148].tobytes() for r in noise])
    yield "rgb-16.png", png(37, 29, 16, 2, [r[:222].tobytes() for r in noise])
    yield "rgba-16.png", png(37, 29, 16, 6, [r[:296].tobytes() for r in noise])
    gamma = chunk(b"gAMA", struct.pack(">I", 100000)) + chunk(b"cHRM", struct.pack(">8I", 31270, 32900, 64000, 33000, 30000, 60000, 15000, 6000))
    yield "gamma.png", png(37, 29, 8, 2, [r[:111].tobytes() for r in noise], gamma)
    # Adam7: the rows of each of its seven passes.
    rows = []
    for x0, y0, dx, dy in ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)):
        wide, tall = len(range(x0, 37, dx)), len(range(y0, 29, dy))
        rows += [noise[y0 + dy * i, : 3 * wide].tobytes() for i in range(tall)] if wide else []
    yield "interlaced.png", png(37, 29, 8, 2, rows, interlace=1)

    yield "lossy.webp", saved(rgb, "WEBP", quality=80)
    yield "lossless.webp", saved(rgb, "WEBP", lossless=True)
    yield "lossy-alpha.webp", saved(rgba, "WEBP", quality=80)
    yield "lossless-alpha.webp", saved(rgba, "WEBP", lossless=True)
    yield "animated.webp", saved(rgb, "WEBP", lossless=True, save_all=True, append_images=[ImageOps.invert(rgb)])

    for image, name in ((rgb, "rgb"), (gray, "gray"), (rgb.quantize(200), "palette"), (gray.convert("1"), "bits")):
        yield f"{name}.bmp", saved(image, "BMP")
    yield "rgba.bmp", saved(rgba, "BMP")
    top = bytearray(saved(rgb, "BMP"))
    top[22:26] = struct.pack("<i", -29)
    yield "from-top.bmp", bytes(top)
    row = [r[:76].tobytes() for r in noise]
    head = struct.pack("<2sIHHI", b"BM", 0, 0, 0, 54) + struct.pack("<IiiHHIIiiII", 40, 37, 29, 1, 16, 0, 0, 0, 0, 0, 0)
    yield "555.bmp", head + b"".join(row)
    masks = struct.pack("<III", 0xF800, 0x7E0, 0x1F)
    head = struct.pack("<2sIHHI", b"BM", 0, 0, 0, 66) + struct.pack("<IiiHHIIiiII", 40, 37, 29, 1, 16, 3, 0, 0, 0, 0, 0) + masks
    yield "565.bmp", head + b"".join(row)

    for image, name in ((rgb, "ppm"), (gray, "pgm"), (gray.convert("1"), "pbm")):
        yield f"raw.{name}", saved(image, "PPM")
    yield "plain.ppm", b"P3 # colours\n# more\n3 2\n255\n255 0 0  0 255 0  0 0 255\n12 34 56 78 90 12 0 0 7\n"
    yield "plain.pgm", b"P2\n5 1\n7\n0 1 2 5 7\n"
    yield "plain.pbm", b"P1\n5 2\n1 0 1 1 0\n01101\n"
    yield "scaled.ppm", b"P6 4 2 100\n" + bytes(range(0, 96, 4))
    yield "deep.pgm", b"P5 5 3 65535\n" + noise[0, :30].tobytes()
    yield "deep-scaled.pgm", b"P5 5 3 1000\n" + (numpy.arange(15) * 70).astype(">u2").tobytes()
    yield "deep.ppm", b"P6 5 2 65535\n" + noise[1, :60].tobytes()


def own(image):
    """The format that tessera keeps, and its bytes."""
    keyed = image.info.get("transparency") is not None
    if image.mode == "P":
        image = image.convert("RGBA" if keyed else "RGB")
    elif image.mode == "1":
        image = image.convert("L")
    if image.mode in ("I;16", "I"):
        return "gray16", numpy.array(image).astype("<u2").tobytes()
    if keyed and image.mode == "RGB":
        image = image.convert("RGBA")
    if keyed and image.mode == "L":
        image = image.convert("LA")
    return {"L": "gray", "LA": "gray_alpha", "RGB": "rgb", "RGBA": "rgba", "CMYK": "cmyk"}[image.mode], image.tobytes()


def on_white(image):
    if "A" not in image.getbands() and image.info.get("transparency") is None:
        return image.convert("RGB")
    image = image.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", image.size, (255, 255, 255, 255)), image).convert("RGB")


def refused():
    good = dict(files())
    for name in ("420.jpg", "444-progressive.jpg", "rgb.png", "interlaced.png", "lossy.webp", "lossless.webp", "rgb.bmp", "raw.ppm", "plain.pgm"):
        data = good[name]
        yield f"cut-{name}", data[: len(data) * 3 // 5]
        yield f"head-{name}", data[: min(20, len(data) - 2)]
    flipped = bytearray(good["rgb.png"])
    flipped[len(flipped) // 2] ^= 1
    yield "flipped.png", bytes(flipped)
    yield "huge.png", png(200000, 200000, 8, 2, [b"\0" * 10])
    yield "huge.ppm", b"P6 60000 60000 255\n"
    yield "twelve-bit.jpg", good["420.jpg"].replace(b"\xff\xc0\0\x11\x08", b"\xff\xc0\0\x11\x0c")
    head = struct.pack("<2sIHHIIiiHHIIiiII", b"BM", 86, 0, 0, 78, 56, 4, 2, 1, 1, 3, 8, 0, 0, 2, 0)  # 1 bit a pixel, and masks with alpha
    yield "palette-masks.bmp", head + struct.pack("<IIII", 0xFF0000, 0xFF00, 0xFF, 0xFF000000) + bytes([1, 2, 3, 0, 4, 5, 6, 0]) + b"\x60\0\0\0" * 2
    yield "text.txt", b"no image at all\n"
    yield "empty.png", b""


def main():
    PLACE.mkdir(exist_ok=True)
    entries = []
    for name, data in files():
        (PLACE / name).write_bytes(data)
        image = Image.open(io.BytesIO(data))
        image.load()
        form, pixels = own(image)
        turned = ImageOps.exif_transpose(image).convert("RGB")
        entries.append([name, form, image.width, image.height, fnv(pixels), fnv(image.convert("RGB").tobytes()), fnv(on_white(image).tobytes()), turned.width, turned.height, fnv(turned.tobytes())])
    bad = []
    for name, data in refused():
        (PLACE / name).write_bytes(data)
        try:
            Image.open(io.BytesIO(data)).load()
            accepted = True
        except Exception:
            accepted = False
        bad.append([name, accepted])
    text = json.dumps({"pillow": PIL.__version__, "files": entries, "refused": bad})
    (HERE / "images.json").write_text(text.replace("[[", "[\n[").replace("], [", "],\n[") + "\n")


if __name__ == "__main__":
    main()
