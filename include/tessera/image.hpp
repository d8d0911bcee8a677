// Images: decoding and conversion. Link with -ljpeg -lpng -lwebpdemux -lwebp.
#pragma once
#include <tessera/image/codec/decode.hpp>
#include <tessera/image/convert.hpp>
#include <tessera/image/image.hpp>
