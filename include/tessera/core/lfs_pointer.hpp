// What Git-LFS leaves in a folder in place of a file that it has not fetched.
#pragma once
#include <string>
#include <string_view>

#include <tessera/core/error.hpp>

namespace tessera {

/// \throws Error kFormat where the bytes of the file `name` are such a pointer.
inline void refuse_lfs_pointer(std::string_view bytes, const std::string& name) {
  if (bytes.starts_with("version https://git-lfs"))
    throw Error(Code::kFormat, {name, ": a Git-LFS pointer, not the file itself; run 'git lfs pull' in the model folder"});
}

}  // namespace tessera
