// --cache: packed weights that stay for the next start.
#include <tessera/models/packed_cache.hpp>

#include "tool.hpp"

namespace tool {

std::unique_ptr<tessera::models::WeightCache> open_cache(const std::string& folder) {
  using tessera::models::PackedCache;
  return std::make_unique<PackedCache>(folder == kUserCache ? PackedCache::default_folder() : folder);
}

}  // namespace tool
