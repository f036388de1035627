// What goes wrong inside a job, on its way to becoming an EftError.
#pragma once

#include <stdexcept>
#include <string>
#include <utility>

namespace eft {

/// `code` is a key of ERROR_CODES in src/errors.ts; what() is the sentence that the user reads.
struct Failure : std::runtime_error {
    std::string code;
    Failure(std::string code_, const std::string & message) : std::runtime_error(message), code(std::move(code_)) {}
};

}  // namespace eft
