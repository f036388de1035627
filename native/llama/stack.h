// Running something on a stack of a known size, whoever calls.
#pragma once

#include <cstddef>
#include <functional>

namespace eft {

/// Runs `body` on a thread of its own with a stack of so many bytes, and waits for it; what it throws is thrown here.
/// Memory is taken only as far as the stack is used. Throws std::bad_alloc where there is no room for such a stack.
void run_with_stack(size_t bytes, const std::function<void()> & body);

}  // namespace eft
