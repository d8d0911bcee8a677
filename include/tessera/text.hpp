// Tokenizers.
#pragma once
#include <tessera/text/tokenizer.hpp>
#include <tessera/text/words.hpp>
