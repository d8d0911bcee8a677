#!/usr/bin/env python3
"""Writes tar/: small archives by Python's tarfile in every format, and what is wrong with some. tests/io/tar_test.cpp reads them."""
import io
import pathlib
import tarfile

HERE = pathlib.Path(__file__).parent / "tar"
LONG = "folder/" + "long-" * 40 + "name.png"


def archive(format, names, **more):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=format, **more) as tar:
        folder = tarfile.TarInfo("folder")
        folder.type = tarfile.DIRTYPE
        tar.addfile(folder)
        for name in names:
            data = f"bytes of {name[-12:]}".encode()
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
        for kind, name in ((tarfile.SYMTYPE, "link.png"), (tarfile.LNKTYPE, "hard.png"), (tarfile.FIFOTYPE, "pipe.png")):
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, names[0]
            tar.addfile(info)
    data = out.getvalue().rstrip(b"\0")  # filled up to 10 KiB
    return data + bytes(-len(data) % 512 + 1024)


def main():
    names = ["a.png", "folder/b.png", "\u00c9t\u00e9.png"]
    prefix = "p" * 100 + "/" + "q" * 30 + ".png"  # in ustar's two fields
    files = {
        "ustar": archive(tarfile.USTAR_FORMAT, [*names, prefix]),
        "gnu": archive(tarfile.GNU_FORMAT, [*names, LONG]),
        "pax": archive(tarfile.PAX_FORMAT, [*names, LONG], pax_headers={"comment": "for all"}),
    }
    files["cut"] = files["ustar"][:-1024 - 700]
    files["no_end"] = files["ustar"][:-1024]
    files["empty"] = b""
    files["zeros"] = bytes(1024)
    files["sum"] = files["ustar"][:600] + b"x" + files["ustar"][601:]
    for name, data in files.items():
        (HERE / name).write_bytes(data)


if __name__ == "__main__":
    main()
