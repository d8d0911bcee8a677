// Checks of what a call throws.
#pragma once
#include <gtest/gtest.h>

#include <string>

#include <tessera/core/error.hpp>

/// The statement throws Error(code) and the sentence says `word`.
#define TESSERA_EXPECT_ERROR(expected, word, ...)                                               \
  do {                                                                                          \
    try {                                                                                       \
      __VA_ARGS__;                                                                              \
      ADD_FAILURE() << "no error, expected: " << ::tessera::code_name(expected);                \
    } catch (const ::tessera::Error& e) {                                                       \
      EXPECT_STREQ(::tessera::code_name(e.code()), ::tessera::code_name(expected)) << e.what(); \
      EXPECT_NE(std::string(e.what()).find(word), std::string::npos) << e.what();               \
    }                                                                                           \
  } while (false)
