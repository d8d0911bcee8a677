// From config.json's model_type to the family that reads the folder.
#pragma once
#include <span>
#include <string>

#include <tessera/core/fp_mode.hpp>
#include <tessera/io/json.hpp>
#include <tessera/models/text_model.hpp>

namespace tessera::models {

namespace detail {

template <class Model>
struct Family {
  const char* type;
  Model (*load)(Context&, const io::ModelFolder&, const io::Json&, const LoadOptions&);
};

template <class Model>
Model load_family(Context& ctx, const io::ModelFolder& folder, const LoadOptions& options, const char* what,
                  std::span<const Family<Model>> families) {
  const FpModeScope mode;  // the decimal numbers of config.json round as always, whatever the caller set
  const io::Json config = folder.config();
  const std::string type = folder.naming([&] { return io::get_string(config, "model_type", ""); });
  std::string known;
  for (const auto& f : families) {
    if (type == f.type) return folder.naming([&] { return f.load(ctx, folder, config, options); });
    known += (known.empty() ? "" : ", ") + std::string(f.type);
  }
  throw Error(Code::kUnsupported,
              {folder.path("config.json"), ": model_type '", type, "' is not supported", what, "; known: ", known});
}

}  // namespace detail

}  // namespace tessera::models
