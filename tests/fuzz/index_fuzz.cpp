// Arbitrary bytes as model.safetensors.index.json in a folder with two real shards and a secret beside it: refused, or
// only tensors of the shards themselves. Nothing outside the folder may be opened.
#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>

#include <tessera/io/checkpoint.hpp>

namespace {
std::string make_folder() {
  const std::string root =
      (std::filesystem::temp_directory_path() / ("tessera_index_fuzz_" + std::to_string(::getpid()))).string();
  std::filesystem::create_directories(root + "/model");
  const float value[] = {1.f, 2.f};
  using tessera::View;
  const auto one = tessera::io::any_view(View<const float, 1>(value, 2));
  tessera::io::write_safetensors(root + "/model/a.safetensors", {{"x", one}});
  tessera::io::write_safetensors(root + "/model/b.safetensors", {{"y", one}, {"x", one}});
  tessera::io::write_safetensors(root + "/secret.safetensors", {{"secret", one}});
  std::error_code error;
  std::filesystem::create_symlink("../secret.safetensors", root + "/model/link.safetensors", error);
  std::atexit([] {
    std::error_code ignored;
    std::filesystem::remove_all(
        std::filesystem::temp_directory_path() / ("tessera_index_fuzz_" + std::to_string(::getpid())), ignored);
  });
  return root + "/model";
}
}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const std::string folder = make_folder();
  std::ofstream(folder + "/model.safetensors.index.json", std::ios::binary)
      .write(reinterpret_cast<const char*>(data), static_cast<std::streamsize>(size));
  try {
    const auto checkpoint = tessera::io::Checkpoint::open(folder);
    for (const auto& name : checkpoint.names())
      if (name != "x" && name != "y") std::abort();
    for (const auto& file : checkpoint.files())
      if (file != "a.safetensors" && file != "b.safetensors") std::abort();
  } catch (const tessera::Error&) {}
  return 0;
}
