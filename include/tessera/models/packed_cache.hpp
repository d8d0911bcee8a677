// Packed weights in files, for the next process: a load that finds them maps them, and reads and packs nothing.
// Needs xxHash (xxhash.h). Not part of tessera.hpp.
#pragma once
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <filesystem>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <tessera/io/atomic_file.hpp>
#include <tessera/io/model_folder-inl.hpp>  // environment, which compiled builds do not declare elsewhere
#include <tessera/models/tensor_source.hpp>
#include <tessera/ops/gemm.hpp>

#define XXH_INLINE_ALL
#include <xxhash.h>

namespace tessera::models {

/// A folder of packed weights, a safetensors file for each checkpoint, whatever ISA packed them.
///
///     PackedCache cache;
///     auto encoder = TextEncoder::load(ctx, "all-MiniLM-L6-v2", {.cache = &cache});
///     cache.save(ctx);
///
/// A checkpoint is known by a hash of its bytes. Small files beside the weights remember that hash for the device, inode,
/// size and times of the checkpoint's files, so that those which have not changed are not read again. Everything is written
/// aside and renamed, so that processes may share a folder; every packed tensor is held against its checksum when a file is
/// opened. A file that is damaged, or of another layout, counts as absent, and save() writes it again. A checksum is no
/// signature: the folder must be one that only its user writes to. It may be deleted at any time.
///
/// One thread at a time. Models that were loaded do not need the cache any more; it holds on to what they packed as long as
/// it lives.
class PackedCache final : public WeightCache {
 public:
  explicit PackedCache(std::string folder = default_folder()) : folder_(std::move(folder)) {}
  /// $XDG_CACHE_HOME/tessera/packed, or ~/.cache/tessera/packed. \throws Error kNotFound without HOME.
  static std::string default_folder();

  std::shared_ptr<PackedStore> open(Context& ctx, std::shared_ptr<const io::Checkpoint> checkpoint) override;
  void save(Context& ctx) override;  ///< makes the folder if it must

 private:
  /// What is known of one checkpoint.
  struct Entry {
    std::string key, index;                       ///< names of its files in the folder, without their endings
    std::shared_ptr<const io::SafeTensors> file;  ///< null: none, or none that is sound
    std::map<std::string, PackedWeight> fresh;    ///< packed by this process
    std::set<std::string> checked;
    bool index_known = false, index_lasts = false, changed = false;
  };
  class Store;
  using Sum = std::string;  ///< hexadecimal

  static Sum sum(const void* data, std::size_t bytes);
  static Sum sum_of(Context& ctx, const io::Checkpoint& checkpoint);
  static Sum sum_of(const std::map<std::string, std::string>& metadata);
  static Sum check_of(const Sum& index, const std::string& key);
  std::string indexed(const Sum& index) const;
  static std::vector<Sum> sums(Context& ctx, const std::vector<io::NamedTensor>& tensors);
  std::string path(const std::string& name) const { return folder_ + "/" + name; }
  void read(Context& ctx, Entry& entry) const;
  void write(Context& ctx, const Entry& entry) const;

  std::string folder_;
  std::map<std::string, std::shared_ptr<Entry>> entries_;  // by identity
};

namespace detail {

inline constexpr const char *kPackedEnding = ".packed.safetensors", *kIndexEnding = ".key";
inline std::string packed_layout() { return std::to_string(ops::kPackedLayout); }

/// Device, inode, size and times of all files.
inline std::string identity_of(const io::Checkpoint& checkpoint) {
  std::string all;
  for (const auto& shard : checkpoint.shards()) {
    const FileIdentity& id = shard->file().identity();
    all += std::to_string(id.device) + ' ' + std::to_string(id.inode) + ' ' + std::to_string(id.bytes) + ' ' +
           std::to_string(id.modified) + ' ' + std::to_string(id.changed) + '\n';
  }
  return all;
}

/// Whether files written now would have other times than these: what was written a moment ago may yet change unseen.
inline bool settled(const io::Checkpoint& checkpoint) {
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  const std::int64_t latest = std::chrono::duration_cast<std::chrono::nanoseconds>(now).count() - 2000000000;
  for (const auto& shard : checkpoint.shards())
    if (shard->file().identity().modified > latest || shard->file().identity().changed > latest) return false;
  return true;
}

}  // namespace detail

/// The entry as one mapping of the checkpoint sees it: tensors are known by where they stand in its files.
class PackedCache::Store final : public PackedStore {
 public:
  Store(std::shared_ptr<Entry> entry, std::shared_ptr<const io::Checkpoint> checkpoint)
      : entry_(std::move(entry)), checkpoint_(std::move(checkpoint)) {}

  PackedWeight find(const WeightView* parts, int count, bool gated) override {
    const std::string name = label(parts, count, gated);
    if (const auto made = entry_->fresh.find(name); made != entry_->fresh.end()) return made->second;
    const AnyView* const v = name.empty() || !entry_->file ? nullptr : entry_->file->find(name);
    if (!v) return {};
    index_t n = 0;
    for (int i = 0; i < count; ++i) n += parts[i].extent[0];
    return PackedWeight(n, parts[0].extent[1], v->dtype, {v->data, static_cast<std::size_t>(v->bytes)}, entry_->file, gated);
  }
  void keep(const WeightView* parts, int count, const PackedWeight& packed) override {
    const std::string name = label(parts, count, packed.gated());
    if (!name.empty()) entry_->fresh[name] = packed, entry_->changed = true;
  }
  bool checked(const AnyView& v) override { return entry_->checked.count(place(v.data, v.bytes)) > 0; }
  void keep_checked(const AnyView& v) override {
    const std::string name = place(v.data, v.bytes);
    if (!name.empty() && entry_->checked.insert(name).second) entry_->changed = true;
  }

 private:
  /// "shard:offset:size", or "" for memory that is none of the checkpoint's.
  std::string place(const std::byte* data, index_t size) const {
    for (std::size_t i = 0; i < checkpoint_->shards().size(); ++i)
      if (const MappedFile& file = checkpoint_->shards()[i]->file(); file.holds(data))
        return std::to_string(i) + ':' + std::to_string(data - file.data()) + ':' + std::to_string(size);
    return {};
  }
  std::string label(const WeightView* parts, int count, bool gated) const {
    std::string name;
    for (int i = 0; i < count; ++i) {
      const std::string at = place(parts[i].data, parts[i].extent[0]);
      if (at.empty() || parts[i].stride[0] != parts[i].extent[1]) return {};
      name += (i > 0 ? "+" : "") + at + 'x' + std::to_string(parts[i].extent[1]) + dtype_name(parts[i].dtype);
    }
    if (parts[0].packed != DType::f32) name += std::string(" as ") + dtype_name(parts[0].packed);
    return gated ? name + " gated" : name;
  }

  std::shared_ptr<Entry> entry_;
  std::shared_ptr<const io::Checkpoint> checkpoint_;
};

inline std::string PackedCache::default_folder() {
  using io::detail::environment;
  if (const std::string cache = environment("XDG_CACHE_HOME"); !cache.empty()) return cache + "/tessera/packed";
  const std::string home = environment("HOME");
  if (home.empty()) throw Error(Code::kNotFound, "packed cache: no HOME and no XDG_CACHE_HOME is set; name a folder");
  return home + "/.cache/tessera/packed";
}

inline PackedCache::Sum PackedCache::sum(const void* data, std::size_t bytes) {
  constexpr char kDigits[] = "0123456789abcdef";
  XXH128_canonical_t canonical;
  XXH128_canonicalFromHash(&canonical, XXH3_128bits(data, bytes));
  Sum s;
  for (const unsigned char byte : canonical.digest) s += kDigits[byte / 16], s += kDigits[byte % 16];
  return s;
}

/// Of parts that all threads share, then of those sums.
inline PackedCache::Sum PackedCache::sum_of(Context& ctx, const io::Checkpoint& checkpoint) {
  constexpr std::size_t kPart = std::size_t{8} << 20;
  std::vector<std::pair<const std::byte*, std::size_t>> parts;
  for (const auto& shard : checkpoint.shards())
    for (std::size_t at = 0, n = shard->file().bytes(); at < n; at += kPart)
      parts.emplace_back(shard->file().data() + at, std::min(kPart, n - at));
  std::vector<Sum> sums(parts.size());
  ctx.parallel_for(static_cast<index_t>(parts.size()), [&](index_t i, int) {
    const auto at = static_cast<std::size_t>(i);
    sums[at] = sum(parts[at].first, parts[at].second);
  });
  std::string all;
  for (std::size_t i = 0; i < sums.size(); ++i) all += sums[i] + ' ' + std::to_string(parts[i].second) + '\n';
  for (const auto& shard : checkpoint.shards()) shard->file().drop(0, shard->file().bytes());
  return sum(all.data(), all.size());
}

inline PackedCache::Sum PackedCache::sum_of(const std::map<std::string, std::string>& metadata) {
  std::string all;
  for (const auto& [key, value] : metadata)
    if (key != "sum") all += key + '=' + value + '\n';
  return sum(all.data(), all.size());
}

inline std::vector<PackedCache::Sum> PackedCache::sums(Context& ctx, const std::vector<io::NamedTensor>& tensors) {
  std::vector<Sum> all(tensors.size());
  ctx.parallel_for(static_cast<index_t>(tensors.size()), [&](index_t i, int) {
    const AnyView& v = tensors[static_cast<std::size_t>(i)].view;
    all[static_cast<std::size_t>(i)] = sum(v.data, static_cast<std::size_t>(v.bytes));
  });
  return all;
}

inline std::shared_ptr<PackedStore> PackedCache::open(Context& ctx, std::shared_ptr<const io::Checkpoint> checkpoint) {
  const std::string identity = detail::identity_of(*checkpoint);
  std::shared_ptr<Entry>& entry = entries_[identity];
  if (!entry) {
    entry = std::make_shared<Entry>();
    entry->index = sum(identity.data(), identity.size());
    entry->index_lasts = detail::settled(*checkpoint);
    if (entry->index_lasts) entry->key = indexed(entry->index);
    entry->index_known = !entry->key.empty();
    if (!entry->index_known) entry->key = sum_of(ctx, *checkpoint);
    read(ctx, *entry);
  }
  return std::make_shared<Store>(entry, std::move(checkpoint));
}

/// The key that an index file names, followed by the sum of both; "" without one that is sound.
inline std::string PackedCache::indexed(const Sum& index) const {
  try {
    const MappedFile file = MappedFile::open(path(index + detail::kIndexEnding).c_str());
    const std::string_view text(reinterpret_cast<const char*>(file.data()), file.bytes());
    std::string key(text.substr(0, index.size()));
    if (text == key + check_of(index, key)) return key;
  } catch (const Error&) {  // absent, or no file
  }
  return {};
}

inline PackedCache::Sum PackedCache::check_of(const Sum& index, const std::string& key) {
  const std::string both = index + key;
  return sum(both.data(), both.size());
}

inline void PackedCache::read(Context& ctx, Entry& entry) const {
  try {
    auto file = std::make_shared<const io::SafeTensors>(io::SafeTensors::open(path(entry.key + detail::kPackedEnding)));
    auto metadata = file->metadata();
    if (metadata["layout"] != detail::packed_layout() || metadata["content"] != entry.key ||
        metadata["sum"] != sum_of(metadata))
      return;
    std::vector<io::NamedTensor> tensors;
    for (const std::string& name : file->names()) tensors.push_back({name, file->at(name)});
    const std::vector<Sum> found = sums(ctx, tensors);
    for (std::size_t i = 0; i < tensors.size(); ++i)
      if (metadata[tensors[i].name] != found[i]) return;
    entry.file = std::move(file);
    const std::string& checked = metadata["checked"];
    for (std::size_t at = 0; at < checked.size();) {
      const std::size_t end = std::min(checked.find(' ', at), checked.size());
      entry.checked.insert(checked.substr(at, end - at));
      at = end + 1;
    }
  } catch (const Error&) {  // absent or damaged
  }
}

inline void PackedCache::write(Context& ctx, const Entry& entry) const {
  std::vector<io::NamedTensor> tensors;
  for (const auto& [name, packed] : entry.fresh) {
    AnyView v;
    v.data = packed.data(), v.dtype = packed.dtype(), v.rank = 1;
    v.bytes = static_cast<index_t>(packed.bytes()), v.extent[0] = v.bytes * 8 / bit_width(v.dtype);
    tensors.push_back({name, v});
  }
  if (entry.file)
    for (const std::string& name : entry.file->names())
      if (!entry.fresh.count(name)) tensors.push_back({name, entry.file->at(name)});
  std::map<std::string, std::string> metadata{{"layout", detail::packed_layout()}, {"content", entry.key}};
  const std::vector<Sum> own = sums(ctx, tensors);
  for (std::size_t i = 0; i < tensors.size(); ++i) metadata[tensors[i].name] = own[i];
  std::string& checked = metadata["checked"];
  for (const std::string& place : entry.checked) checked += (checked.empty() ? "" : " ") + place;
  metadata["sum"] = sum_of(metadata);
  io::write_safetensors(path(entry.key + detail::kPackedEnding), std::move(tensors), metadata, kAlignment);
}

inline void PackedCache::save(Context& ctx) {
  for (auto& [identity, entry] : entries_) {
    const bool index = entry->index_lasts && !entry->index_known;
    if (!entry->changed && !index) continue;
    std::error_code error;
    const std::filesystem::path folder(folder_);
    if (folder.has_parent_path()) std::filesystem::create_directories(folder.parent_path(), error);
    if (!error && ::mkdir(folder_.c_str(), 0700) != 0 && errno != EEXIST) error = {errno, std::generic_category()};
    if (error) throw Error(Code::kIo, {folder_, ": cannot make the folder: ", error.message()});
    if (entry->changed) write(ctx, *entry);
    if (index) {
      io::AtomicFile file(path(entry->index + detail::kIndexEnding));
      const std::string text = entry->key + check_of(entry->index, entry->key);
      file.write(text.data(), text.size());
      file.commit();
    }
    entry->changed = false, entry->index_known = true;
  }
}

}  // namespace tessera::models
