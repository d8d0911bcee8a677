// tessera: embeddings from the command line. `tessera --help` lists the commands.
#include <cstdio>
#include <exception>
#include <string>

#include "tool.hpp"

int main(int argc, char** argv) {
  CLI::App app("Embeddings from Hugging Face model folders, on this machine alone");
  app.require_subcommand(1);
  app.set_version_flag("--version", std::to_string(TESSERA_VERSION_MAJOR) + "." + std::to_string(TESSERA_VERSION_MINOR) +
                                        "." + std::to_string(TESSERA_VERSION_PATCH));
  app.footer(
      "Exit codes: 0 done, 1 other, 2 wrong use, 3 done but some inputs skipped, 4 model refused,\n"
      "5 output could not be written, 6 a result was not finite, 130 and 143 stopped by a signal.");
  int exit = tool::kDone;
  tool::add_embed(*app.add_subcommand("embed", "one embedding a text, as a .npy file"), exit);
  tool::add_forward(*app.add_subcommand("forward", "a model's outputs for given token ids, as transformers names them"),
                    exit);
  tool::add_tokenize(*app.add_subcommand("tokenize", "token ids of each line of standard input"), exit);
  tool::add_inspect(*app.add_subcommand("inspect", "what a model folder, a safetensors file or this machine is"), exit);
  tool::add_bench(*app.add_subcommand("bench", "time of a forward pass"), exit);
  try {
    app.parse(argc, argv);
  } catch (const CLI::Success& e) {  // --help, --version
    return app.exit(e);
  } catch (const CLI::ParseError& e) {
    std::fprintf(stderr, "tessera: %s (tessera --help explains)\n", e.what());
    return tool::kUsage;
  } catch (const tool::Failure& f) {
    std::fprintf(stderr, "tessera: %s\n", f.sentence.c_str());
    return f.code;
  } catch (const tessera::Error& e) {
    std::fprintf(stderr, "tessera: %s\n", e.what());
    return e.code() == tessera::Code::kNonFinite ? tool::kNonFinite : tool::kOther;
  } catch (const std::exception& e) {
    std::fprintf(stderr, "tessera: %s\n", e.what());
    return tool::kOther;
  }
  return exit;
}
