#pragma once
#include <tessera/core/fp_mode.hpp>
#include <tessera/models/auto_model.hpp>
#include <tessera/models/families/bert.hpp>

namespace tessera::models {

inline TextModel load_text_model(Context& ctx, const io::ModelFolder& folder, const LoadOptions& options) {
  const FpModeScope mode;  // the decimal numbers of config.json round as always, whatever the caller set
  const io::Json config = folder.config();
  const std::string type = folder.naming([&] { return io::get_string(config, "model_type", ""); });
  static constexpr struct {
    const char* type;
    TextModel (*load)(Context&, const io::ModelFolder&, const io::Json&, const LoadOptions&);
  } kFamilies[] = {{"bert", load_bert}};
  std::string known;
  for (const auto& f : kFamilies) {
    if (type == f.type) return folder.naming([&] { return f.load(ctx, folder, config, options); });
    known += (known.empty() ? "" : ", ") + std::string(f.type);
  }
  throw Error(Code::kUnsupported,
              {folder.path("config.json"), ": model_type '", type, "' is not supported; known: ", known});
}

}  // namespace tessera::models
