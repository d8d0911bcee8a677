// JSON documents: io/json_reader.hpp with nlohmann's classes.
#pragma once
#include <nlohmann/json.hpp>

#include <tessera/io/json_reader.hpp>
