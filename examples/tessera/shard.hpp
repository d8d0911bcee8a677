// --shard i/n: one part of the inputs, and the manifest that says what a finished part was made of.
#pragma once
#include <charconv>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include <tessera/io/digest.hpp>

#include "embed_output.hpp"
#include "images.hpp"
#include "lines.hpp"
#include "tool.hpp"

namespace tool {

using tessera::io::Digest;

/// Inputs [first, last) of all; last < 0: to the end. Without --shard it is all of them, with no manifest.
struct Shard {
  long long first = 0, last = -1, index = 0, of = 1;
  std::string part, manifest;

  bool contains(long long input) const { return input >= first && !after(input); }
  bool after(long long input) const { return last >= 0 && input >= last; }
};

/// How many inputs a text file has. \throws Failure for one that cannot be read twice.
inline long long count_lines(const std::string& text, bool jsonl) {
  if (text == "-") throw Failure{kUsage, "--shard needs a file as --text: standard input cannot be counted first"};
  Lines lines(text, jsonl);
  if (!lines.regular()) throw Failure{kUsage, text + ": --shard needs a regular file, which can be read more than once"};
  std::string line;
  long long n = 0;
  while (lines.next_raw(line)) ++n;
  return n;
}

inline constexpr long long kMostShards = 99999;  // what the names of the parts have room for

/// "slurm": the part of this task of a Slurm job array, whatever its first index and its step.
/// Source: Slurm, "Job Array Support", environment variables of a task.
inline Shard slurm_shard() {
  const auto variable = [](const std::string& name) {
    const char* const text = std::getenv(("SLURM_ARRAY_TASK_" + name).c_str());
    if (!text || !*text)
      throw Failure{kUsage, "--shard slurm: SLURM_ARRAY_TASK_" + name +
                                " is not set: it is for tasks of a job array, such as of sbatch --array=0-63"};
    const char* const end = text + std::strlen(text);
    long long n = -1;
    const auto [next, error] = std::from_chars(text, end, n);
    if (error != std::errc() || next != end || n < 0 || n > 1'000'000'000)
      throw Failure{kUsage, "--shard slurm: SLURM_ARRAY_TASK_" + name + " is '" + text + "', expected a number"};
    return n;
  };
  const long long task = variable("ID"), least = variable("MIN"), most = variable("MAX"), count = variable("COUNT"),
                  step = variable("STEP");
  // Of a list (--array=3,7) Slurm does not say which place a task has: its parts could not be told.
  if (step < 1 || task < least || task > most || (task - least) % step != 0 || (most - least) / step + 1 != count)
    throw Failure{kUsage,
                  "--shard slurm: task " + std::to_string(task) + " of " + std::to_string(count) + ", from " +
                      std::to_string(least) + " to " + std::to_string(most) + " by " + std::to_string(step) +
                      ": expected a whole range, such as --array=0-63; to fill gaps run all of it again with --resume"};
  if (count > kMostShards) throw Failure{kUsage, "--shard slurm: " + std::to_string(count) + " tasks, at most 99999"};
  Shard s;
  s.index = (task - least) / step, s.of = count;
  return s;
}

/// Reads "i/n", or takes both from the environment of a Slurm job array. \throws Failure kUsage.
inline Shard parse_shard(const std::string& option) {
  if (option == "slurm") return slurm_shard();
  Shard s;
  const char *at = option.data(), *end = at + option.size();
  const auto number = [&](long long& n) {
    const auto [next, error] = std::from_chars(at, end, n);
    const bool good = error == std::errc() && *at != '-';
    at = next;
    return good;
  };
  const bool good = at != end && number(s.index) && at != end && *at++ == '/' && at != end && number(s.of) && at == end;
  if (!good || s.index >= s.of || s.of > kMostShards)
    throw Failure{kUsage, "--shard " + option + ": expected i/n with 0 <= i < n <= 99999, such as 0/4, or slurm"};
  return s;
}

/// Says which of `inputs` inputs the part takes, and makes the folder of the parts.
inline void place_shard(Shard& s, long long inputs, const std::string& folder) {
  s.first = s.index * inputs / s.of;
  s.last = (s.index + 1) * inputs / s.of;
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  if (!std::filesystem::is_directory(folder, error))
    throw Failure{kOutput, folder + ": cannot make this folder for the parts; with --shard, -o names a folder"};
  char name[64];
  std::snprintf(name, sizeof name, "/part-%05lld-of-%05lld", s.index, s.of);
  s.part = folder + name + ".npy";
  s.manifest = folder + name + ".manifest.json";
}

inline void digest_file(Digest& digest, const std::filesystem::path& path) {
  const auto file = tessera::MappedFile::open(path.c_str());
  digest.add({reinterpret_cast<const char*>(file.data()), file.bytes()});
}

inline std::string digest_lines(const Shard& s, Lines lines) {
  Digest digest;
  std::string line;
  for (long long i = 0; !s.after(i) && lines.next_raw(line); ++i)
    if (s.contains(i)) digest.add(line);
  return digest.hex();
}

/// Of the images' bytes, wherever they lie: one that cannot be read counts as one without any.
inline std::string digest_images(const Shard& s, const std::vector<ImageInput>& inputs) {
  Digest digest;
  for (long long i = s.first; i < s.last; ++i) {
    const ImageInput& input = inputs[static_cast<std::size_t>(i)];
    try {
      if (input.archive)
        digest.add(input.bytes());
      else
        digest_file(digest, input.name);
    } catch (const tessera::Error&) {
      digest.add("");
    }
  }
  return digest.hex();
}

/// Of the configuration, the tokenizer and the weights: the folder's own files, and those of its modules.
inline std::string digest_model(const std::string& model) {
  namespace fs = std::filesystem;
  const fs::path root = tessera::io::ModelFolder::open(model).root();
  std::map<std::string, fs::path> files;  // in the order of their names
  std::error_code error;
  const auto collect = [&](const fs::path& folder) {
    for (const auto& entry : fs::directory_iterator(folder, error)) {
      const auto kind = entry.path().extension();
      if (entry.is_regular_file(error) && (kind == ".json" || kind == ".safetensors" || kind == ".txt"))
        files[fs::path(entry.path()).lexically_relative(root).string()] = entry.path();
    }
  };
  collect(root);
  for (const auto& entry : fs::directory_iterator(root, error))
    if (fs::exists(entry.path() / "config.json", error)) collect(entry.path());
  Digest digest;
  for (const auto& [name, path] : files) {
    digest.add(name);
    digest_file(digest, path);
  }
  return digest.hex();
}

/// What became of a part, when it is finished and of the same making.
struct Finished {
  bool kept = false, skipped = false, nonfinite = false;
};

inline Finished finished(const Shard& s, const tessera::io::Json& manifest) {
  std::error_code error;
  if (!std::filesystem::exists(s.manifest, error) || !std::filesystem::exists(s.part, error)) return {};
  try {
    tessera::io::Json old = tessera::io::read_json(s.manifest);
    const Finished state{true, !old.at("skipped").empty(), !old.at("nonfinite").empty()};
    Digest bytes;
    digest_file(bytes, s.part);
    if (old.at("part") != bytes.hex()) return {};
    if (state.skipped && !std::filesystem::exists(RowMap::name_of(s.part), error)) return {};
    for (const char* outcome : {"rows", "skipped", "nonfinite", "part"}) old.erase(outcome);
    return old == manifest ? state : Finished{};
  } catch (const std::exception&) {
    return {};  // not one of ours, or damaged: made again
  }
}

/// Puts the rows in place.
inline void commit_part(EmbedOutput& out, const Shard& shard) {
  if (!shard.manifest.empty()) std::remove(shard.manifest.c_str());  // it speaks of the part that is replaced now
  out.commit();
}

/// Says that the part is finished: written after it, so that a part without its manifest is none.
inline void write_manifest(const Shard& s, tessera::io::Json manifest, const EmbedOutput& out,
                           const std::vector<long long>& nonfinite) {
  or_exit(kOutput, [&] {
    Digest bytes;
    digest_file(bytes, s.part);
    manifest["rows"] = out.rows();
    manifest["skipped"] = out.skipped();
    manifest["nonfinite"] = nonfinite;
    manifest["part"] = bytes.hex();
    const std::string text = manifest.dump(1) + "\n";
    tessera::io::AtomicFile file(s.manifest);
    file.write(text.data(), text.size());
    file.commit();
  });
}

}  // namespace tool
