// SPDX-License-Identifier: BSL-1.0
#pragma once

// What a call throws, as text: for checks on a part of a message.

#include <asynchio/core/cancelled_error.hpp>

#include <exception>
#include <string>
#include <string_view>

namespace asynchio_tests {

/// What the exception that `f()` throws says of itself; empty if there is none.
template<class F>
std::string message_of(F f) {
    try {
        f();
    } catch (const std::exception& e) {
        return e.what();
    } catch (const asynchio::cancelled_error& e) {
        return std::string(e.what()) + ": " + std::string(e.message());
    }
    return {};
}

inline bool contains(std::string_view text, std::string_view part) { return text.find(part) != std::string_view::npos; }

} // namespace asynchio_tests
