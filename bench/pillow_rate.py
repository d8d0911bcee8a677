"""Times the resizes of whichever Pillow its interpreter has, for image_peers.py. Prints the version, then a line for each line of
standard input:

    load FILE                    an empty line
    resize FILTER WIDTH HEIGHT   the seconds that it took; the pixels go to the file that is the only argument
"""
import sys
import time

import numpy
import PIL
from PIL import Image

print(PIL.__version__, flush=True)
for line in sys.stdin:
    how, *words = line.split()
    if how == "load":
        image = Image.open(words[0]).convert("RGB")
        print(flush=True)
    else:
        kind, width, height = words
        start = time.perf_counter()
        made = numpy.asarray(image.resize((int(width), int(height)), Image.Resampling[kind.upper()]))
        seconds = time.perf_counter() - start
        made.tofile(sys.argv[1])
        print(seconds, flush=True)
