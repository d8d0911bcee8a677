// Many small parts of a corpus as few.
#pragma once
#include <string>

#include <tessera/retrieval/corpus_writer.hpp>

namespace tessera::retrieval {

/// Writes neighbouring parts anew as one part, up to `part_bytes` of rows as f32, and puts these in their place by one
/// rename: searches answer as before, bit for bit, and one that is killed changes nothing. Rows keep their numbers, so that
/// ids outside the corpus stay true; of rows that are gone the numbers stay, as a place, and their documents and words go. A
/// part that would be alone is left as it is. Words are kept where all parts that become one keep those of the same field.
/// Others may search and append meanwhile. Memory: that of one new part. \returns how many parts there are now.
/// \throws Error as Corpus::open(); kIo; kFormat when the corpus was replaced meanwhile, with nothing changed.
index_t compact(const std::string& path, std::size_t part_bytes = CorpusWriter::kPartBytes);

}  // namespace tessera::retrieval

#ifndef TESSERA_COMPILED
#include <tessera/retrieval/corpus_compaction-inl.hpp>
#endif
