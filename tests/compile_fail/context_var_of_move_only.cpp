// SPDX-License-Identifier: BSL-1.0

// get() gives a copy.

// expect: keep what cannot be copied in a std::shared_ptr

#include <asynchio/task/context_var.hpp>

#include <memory>

namespace aio = asynchio;

#ifdef ASYNCHIO_CORRECT
const aio::context_var<std::shared_ptr<int>> variable("variable");
#else
const aio::context_var<std::unique_ptr<int>> variable("variable");
#endif
