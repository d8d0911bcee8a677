// The words of a corpus's documents, to search by beside its embeddings.
#pragma once
#include <string>

#include <tessera/retrieval/bm25.hpp>
#include <tessera/retrieval/corpus.hpp>

namespace tessera::retrieval {

/// Of the strings that documents have as `field`; document d of the index is row d of the corpus. Rows that are gone, and
/// documents without such a string, have no words and are never found. \throws Error kFormat naming the row, for a document
/// that is no JSON; kLimit.
Bm25 index_words(const Corpus& corpus, const std::string& field = "text");

}  // namespace tessera::retrieval

#ifndef TESSERA_COMPILED
#include <tessera/retrieval/corpus_words-inl.hpp>
#endif
