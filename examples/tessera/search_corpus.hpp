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

  void add_to(CLI::App& app) {
    app.add_option("--by", by, "--corpus: dense: by embeddings; bm25: by words; hybrid: by the ranks of both")
        ->check(CLI::IsMember({"dense", "bm25", "hybrid"}));
    app.add_option("--stage", stages, kStageHelp)->expected(1)->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
    app.add_option("--field", field,
                   "--by bm25 and hybrid, and stages of a cross-encoder: the field of the documents that holds their text");
    app.add_option("--filter", filters, "--corpus: FIELD=VALUE, or with != < <= > >=: only documents that meet all of them");
    app.add_option("--rows", rows, "--corpus: only rows FIRST:END or ID, several with commas: 0:1000,2017");
    app.add_option("--least", least, "--corpus: lower scores are not found");
    app.add_flag("--all", all, "--corpus: not the best k, but every row that has --least");
    app.add_option(
        "--times", times,
        "--corpus: a .npy file of another modality's rows [B, E], row i for query i, with which queries are multiplied "
        "number by number (Symile); several in order");
    app.add_option("--ids", ids,
                   "--corpus: tell rows by this field of their documents, and queries of --jsonl by theirs, not by numbers");
    app.add_flag("--jsonl", jsonl, std::string("--corpus with --text FILE: ") + kJsonlHelp);
    app.add_flag("--documents", documents, "--corpus: print what was found, too");
    app.add_flag("--certified", certified, "--corpus: refuse rows that are not kept as f32, and say what the proof took");
    app.add_option("--dims", embed.dims, std::string("--corpus: of queries, and of rows that have more, ") + kDimsHelp)
        ->check(CLI::Range(1, 1 << 20));
    app.add_flag("--force-dims", embed.force_dims, std::string("--corpus: ") + kForceDimsHelp);
    auto* prompt = app.add_option_function<std::string>(
        "--prompt", [this](const std::string& s) { embed.prompt = s; }, "--corpus: put before every text; \"\" for none");
    app.add_option("--prompt-name", embed.prompt_name, "--corpus: one of the model's prompts")->excludes(prompt);
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
