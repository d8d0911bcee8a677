// Files: safetensors, .npy, JSON configuration, model folders.
#pragma once
#include <tessera/io/atomic_file.hpp>
#include <tessera/io/checkpoint.hpp>
#include <tessera/io/digest.hpp>
#include <tessera/io/json.hpp>
#include <tessera/io/model_folder.hpp>
#include <tessera/io/npy.hpp>
#include <tessera/io/safetensors.hpp>
#include <tessera/io/tar.hpp>
