// SPDX-License-Identifier: BSL-1.0
#pragma once

// Scenarios whose allocations fail, one after the other and from each on. For one source file of a program: it replaces
// operator new.

#include <asynchio/task/task.hpp>
#include <asynchio/testing/for_each_allocation_failure.hpp>

#include "operator_new.hpp"

#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <stdexcept>
#include <string>
#include <string_view>

namespace asynchio_tests {

/// What takes more than a string keeps in itself.
inline const std::string long_text = "a text that is longer than a small string";

/// What a scenario throws when something does not hold: not even without memory.
class broken : public std::logic_error {
public:
    using std::logic_error::logic_error;
};
inline void hold(bool holds, const char* what) {
    if (!holds) throw broken(what);
}

struct starved_scenario {
    const char* name;
    asynchio::task<> (*make)();
};

/// @throws std::runtime_error if what a main task ended with says that something did not hold.
inline void require_no_breach(const std::exception_ptr& error) {
    try {
        std::rethrow_exception(error);
    } catch (const broken& e) {
        throw std::runtime_error(std::string("does not hold: ") + e.what());
    } catch (...) { // had no memory
    }
}

/// With ASYNCHIO_SCENARIO in the environment, that one alone.
/// @throws std::runtime_error naming the scenario that does not hold, or that allocates nothing.
template<std::size_t N>
void starve(const starved_scenario (&all)[N]) {
    const char* const only = std::getenv("ASYNCHIO_SCENARIO");
    for (const starved_scenario& each : all) {
        if (only != nullptr && std::string_view(only) != each.name) continue;
        for (const bool all_later : {false, true}) {
            asynchio::testing::allocation_plan plan;
            plan.all_later = all_later;
            const std::string mode = std::string(each.name) + (all_later ? ", all later ones too: " : ": ");
            try {
                const auto met = asynchio::testing::for_each_allocation_failure(each.make, plan);
                if (only != nullptr)
                    std::printf("%s%zu points, %zu failed\n", mode.c_str(), met.points, met.errors.size());
                for (const auto& error : met.errors) require_no_breach(error);
                if (met.points < 3) throw std::runtime_error("a scenario that does not allocate shows nothing");
            } catch (const std::exception& e) {
                throw std::runtime_error(mode + e.what());
            }
        }
    }
}

} // namespace asynchio_tests
