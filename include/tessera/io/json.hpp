// JSON documents: io/json_fwd.hpp with nlohmann's classes.
#pragma once
#include <nlohmann/json.hpp>

#include <tessera/io/json_fwd.hpp>

#ifndef TESSERA_COMPILED
#include <tessera/io/json-inl.hpp>
#endif
