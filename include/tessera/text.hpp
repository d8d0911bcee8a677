// Tokenizers.
#pragma once
#include <tessera/text/tokenizer.hpp>
