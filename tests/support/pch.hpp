// SPDX-License-Identifier: BSL-1.0
#pragma once

// Precompiled for all tests: Catch2, the library, and the standard headers that are slow to read. That the library's
// headers include what they use is tested elsewhere (all_verify_interface_header_sets compiles each alone).

#include "catch.hpp"

#include <asynchio.hpp>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <coroutine>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <ostream>
#include <source_location>
#include <sstream>
#include <string>
#include <thread>
#include <tuple>
#include <utility>
#include <variant>
#include <vector>
