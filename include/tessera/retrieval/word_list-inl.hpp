#pragma once
#include <tessera/retrieval/detail/list_tensors.hpp>
#include <tessera/retrieval/word_list.hpp>

namespace tessera::retrieval {

inline WordList WordList::from(const io::SafeTensors& file, const std::string& prefix, std::size_t v, const char* damaged) {
  const auto expect = [&](bool sound, const char* what) {
    if (!sound) throw Error(Code::kFormat, {file.name(), ": ", damaged, ": ", what});
  };
  WordList list;
  list.offsets = detail::list_of<index_t>(file, prefix + "word_offsets");
  const auto bytes = detail::list_of<std::uint8_t>(file, prefix + "words");
  list.text = {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
  expect(detail::parts(list.offsets, bytes.size()), "the offsets do not part the words");
  expect(list.offsets.size() == v + 1, "as many words as lists of documents are expected");
  for (std::size_t i = 1; i < v; ++i) expect(list[i - 1] < list[i], "the words are not in ascending order");
  return list;
}

inline void WordList::add_tensors(const std::string& prefix, std::vector<io::NamedTensor>& to) const {
  if (empty()) return;
  to.push_back(detail::list_tensor(prefix + "words", reinterpret_cast<const std::uint8_t*>(text.data()), text.size()));
  to.push_back(detail::list_tensor(prefix + "word_offsets", offsets.data(), offsets.size()));
}

inline std::size_t WordList::find(std::string_view wanted) const noexcept {
  const std::size_t end = offsets.size() - 1;
  std::size_t low = 0, high = end;
  while (low < high) {
    const std::size_t middle = (low + high) / 2;
    if ((*this)[middle] < wanted)
      low = middle + 1;
    else
      high = middle;
  }
  return low < end && (*this)[low] == wanted ? low : end;
}

}  // namespace tessera::retrieval
