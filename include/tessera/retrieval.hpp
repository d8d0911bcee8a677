// From embeddings to answers.
#pragma once
#include <tessera/retrieval/bm25.hpp>
#include <tessera/retrieval/corpus.hpp>
#include <tessera/retrieval/corpus_compaction.hpp>
#include <tessera/retrieval/corpus_format.hpp>
#include <tessera/retrieval/corpus_words.hpp>
#include <tessera/retrieval/corpus_writer.hpp>
#include <tessera/retrieval/document_filter.hpp>
#include <tessera/retrieval/fusion.hpp>
#include <tessera/retrieval/late_interaction.hpp>
#include <tessera/retrieval/late_interaction_writer.hpp>
#include <tessera/retrieval/metrics.hpp>
#include <tessera/retrieval/postings.hpp>
#include <tessera/retrieval/qrels.hpp>
#include <tessera/retrieval/ranking.hpp>
#include <tessera/retrieval/stages.hpp>
#include <tessera/retrieval/word_list.hpp>
