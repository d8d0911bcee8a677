// tessera search --corpus, behind the options that it shares with a search among images.
#pragma once
#include <algorithm>
#include <string>
#include <vector>

#include <tessera/models/text_encoder.hpp>

#include "answer_sheet.hpp"
#include "dual.hpp"
#include "json_line.hpp"
#include "lines.hpp"
#include "search_stages.hpp"
#include "tool.hpp"

namespace tool {

struct CorpusSearch {
  std::string corpus, npy, ids, by = "dense", field = "text", rows;
  std::vector<std::string> filters, times, stages;
  float least = -__builtin_inff();
  bool certified = false, documents = false, jsonl = false, all = false;
  tessera::models::EmbedOptions embed;

  void add_to(Command& app) {
    app.option("--by", by, "--corpus: dense: by embeddings; bm25: by words; hybrid: by the ranks of both")
        .one_of({"dense", "bm25", "hybrid"});
    app.option("--stage", stages, kStageHelp).one_each_time();
    app.option("--field", field,
               "--by bm25 and hybrid, and stages of a cross-encoder: the field of the documents that holds their text");
    app.option("--filter", filters, "--corpus: FIELD=VALUE, or with != < <= > >=: only documents that meet all of them");
    app.option("--rows", rows, "--corpus: only rows FIRST:END or ID, several with commas: 0:1000,2017");
    app.option("--least", least, "--corpus: lower scores are not found");
    app.flag("--all", all, "--corpus: not the best k, but every row that has --least");
    app.option(
        "--times", times,
        "--corpus: a .npy file of another modality's rows [B, E], row i for query i, with which queries are multiplied "
        "number by number (Symile); several in order");
    app.option("--ids", ids,
               "--corpus: tell rows by this field of their documents, and queries of --jsonl by theirs, not by numbers");
    app.flag("--jsonl", jsonl, std::string("--corpus with --text FILE: ") + kJsonlHelp);
    app.flag("--documents", documents, "--corpus: print what was found, too");
    app.flag("--certified", certified, "--corpus: refuse rows that are not kept as f32, and say what the proof took");
    app.option("--dims", embed.dims, std::string("--corpus: of queries, and of rows that have more, ") + kDimsHelp)
        .range(1, 1 << 20);
    app.flag("--force-dims", embed.force_dims, std::string("--corpus: ") + kForceDimsHelp);
    const auto prompt = app.option(
        "--prompt", [this](const std::string& s) { embed.prompt = s; }, "--corpus: put before every text; \"\" for none");
    app.option("--prompt-name", embed.prompt_name, "--corpus: one of the model's prompts").excludes(prompt);
  }
  /// The stages, or the only one. \param k rows that they keep where they do not say.
  std::vector<StageSpec> specs(std::size_t k) const {
    if (stages.empty()) return {{by, k}};
    std::vector<StageSpec> parsed;
    for (const std::string& s : stages) parsed.push_back(StageSpec::parse(s, k));
    return parsed;
  }
  bool needs_embeddings() const {
    return any([](const StageSpec& s) { return s.of_embeddings(); });
  }
  bool needs_texts() const {
    return any([](const StageSpec& s) { return s.of_texts(); });
  }
  bool prompted() const { return embed.prompt.has_value() || !embed.prompt_name.empty(); }

 private:
  template <class F>
  bool any(const F& f) const {
    const auto each = specs(1);
    return std::any_of(each.begin(), each.end(), f);
  }
};

/// \param shared model, images, threads.  \param sheet gets what was found, where it is wanted.  \returns the exit code.
int search_corpus(const CorpusSearch& o, const DualOptions& shared, const std::string& text, tessera::index_t k,
                  AnswerSheet& sheet);

}  // namespace tool
