// tessera: embeddings from the command line. `tessera --help` lists the commands.
#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <cstdio>
#include <exception>
#include <new>
#include <string>

#include <CLI/CLI.hpp>

#include "tool.hpp"

namespace {

/// What the system does to a program before and beside its work.
void settle() {
  // A closed standard stream would lend its number to the next file, and messages would end up there.
  for (int fd = 0; fd <= 2; ++fd)
    if (fcntl(fd, F_GETFD) < 0) (void)!open("/dev/null", fd == 0 ? O_WRONLY : O_RDONLY);  // using it stays an error
  signal(SIGPIPE, SIG_IGN);  // a reader that goes away, a file beyond its limit: errors of the write, not ends
  signal(SIGXFSZ, SIG_IGN);
}

int parse(CLI::App& app, int argc, char** argv, const int& exit) {
  try {
    app.parse(argc, argv);
    tool::finish_stdout();
    return exit;
  } catch (const CLI::Success& e) {  // --help, --version
    return app.exit(e);
  } catch (const CLI::ParseError& e) {
    throw tool::Failure{tool::kUsage, e.what() + std::string(" (tessera --help explains)")};
  } catch (const tessera::Error& e) {
    throw tool::Failure{e.code() == tessera::Code::kNonFinite ? tool::kNonFinite : tool::kOther, e.what()};
  } catch (const std::bad_alloc&) {
    throw tool::Failure{tool::kOther, "out of memory; a smaller --batch-tokens or fewer --threads need less"};
  } catch (const std::exception& e) {
    throw tool::Failure{tool::kOther, e.what()};
  }
}

}  // namespace

int main(int argc, char** argv) {
  settle();
  CLI::App app("Embeddings from Hugging Face model folders, on this machine alone");
  app.require_subcommand(1);
  app.set_version_flag("--version", std::to_string(TESSERA_VERSION_MAJOR) + "." + std::to_string(TESSERA_VERSION_MINOR) +
                                        "." + std::to_string(TESSERA_VERSION_PATCH));
  app.footer(
      "Exit codes: 0 done, 1 other, 2 wrong use, 3 done but some inputs skipped, 4 model refused,\n"
      "5 output could not be written, 6 a result was not finite, 130 and 143 stopped by a signal.");
  int exit = tool::kDone;
  using Add = void (*)(tool::Command&, int&);
  const auto add = [&](const char* name, const char* what, Add options) {
    tool::Command command(*app.add_subcommand(name, what));
    options(command, exit);
  };
  add("embed", "one embedding a text or image, as a .npy file", tool::add_embed);
  add("forward", "a model's outputs for given token ids, as transformers names them", tool::add_forward);
  add("generate", "what a decoder says next, greedily", tool::add_generate);
  add("tokenize", "token ids of each line of standard input", tool::add_tokenize);
  add("inspect", "what a model folder, a safetensors file or this machine is", tool::add_inspect);
  add("preprocess", "images as a model takes them: pixel_values", tool::add_preprocess);
  add("classify", "zero-shot: how probable each label is for each image", tool::add_classify);
  add("index", "embeddings and what they stand for, to search in", tool::add_index);
  add("search", "the rows of an index nearest to a query; the images that texts describe best", tool::add_search);
  add("eval", "how good a search is: ndcg, recall and others by judgements", tool::add_eval);
  add("rerank", "texts in the order in which a cross-encoder, ColBERT or SPLADE puts them for a query", tool::add_rerank);
  add("merge", "token merging: its table of speed and cosine, and a mosaic of each layer", tool::add_merge);
  add("attention", "where an image model looks, as a picture", tool::add_attention);
  add("maxsim", "late interaction: which patch of an image each token of a text is nearest to", tool::add_maxsim);
  add("bench", "time of a forward pass", tool::add_bench);
  try {
    return parse(app, argc, argv, exit);
  } catch (const tool::Failure& f) {
    if (!f.sentence.empty()) tool::say(f.sentence);
    return f.code;
  }
}
