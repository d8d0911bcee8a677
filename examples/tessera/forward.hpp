// What tessera forward has for texts and for images.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "tool.hpp"

namespace tool {

struct ForwardOptions {
  RunOptions run;
  std::string in, out;
  bool hidden_states = false;
};

/// An input tensor [B, T] of int32 or int64 as int32; rows and columns are those of the first one read.
std::optional<std::vector<std::int32_t>> integers(const tessera::io::SafeTensors& file, const char* name,
                                                  tessera::index_t& rows, tessera::index_t& columns);
/// hidden_states.N for the tap of that name, or nothing.
std::string hidden_state_of(const std::string& tap);
/// \throws Failure, with nothing written, where one is not finite.
void write_outputs(tessera::Context& ctx, const ForwardOptions& o, const std::vector<tessera::io::NamedTensor>& tensors);
/// Of pixel_values, with input_ids beside them or not. \returns the exit code.
int forward_images(tessera::Context& ctx, const ForwardOptions& o, const tessera::io::SafeTensors& in);

}  // namespace tool
