// From embeddings to answers.
#pragma once
#include <tessera/retrieval/ranking.hpp>
