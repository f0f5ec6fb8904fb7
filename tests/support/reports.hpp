// SPDX-License-Identifier: BSL-1.0
#pragma once

// What a loop's exception handler is told, kept for a test to look at.

#include "probes.hpp"

#include <asynchio/loop/event_loop.hpp>

#include <string>
#include <vector>

namespace asynchio_tests {

struct report {
    std::string message;
    std::string source;
    std::string error;
    unsigned line = 0; // where the object was created
    std::string file = {};
};

using reports = std::vector<report>;

/// From now on the running loop's reports go to `into`, which must outlive the loop.
inline void collect(reports& into, asynchio::event_loop& loop = asynchio::get_running_loop()) {
    loop.set_exception_handler([&into](asynchio::event_loop&, const asynchio::exception_context& context) {
        into.push_back(report{context.message, context.source, text_of(context.exception), context.created.line(),
                              context.created.file_name()});
    });
}

} // namespace asynchio_tests
