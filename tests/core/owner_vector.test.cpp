// SPDX-License-Identifier: BSL-1.0
#include <asynchio/core/detail/owner_vector.hpp>

#include "support/catch.hpp"
#include "support/probes.hpp"

#include <string>
#include <utility>

using asynchio::detail::make_owner;
using asynchio::detail::owner_vector;
using namespace asynchio_tests;

namespace {

/// Adds its letter when it ends.
struct letter {
    letter(std::string& where, char which) : ends(where), name(which) {}
    letter(const letter&) = delete;
    letter& operator=(const letter&) = delete;
    ~letter() { ends += name; }
    std::string& ends;
    char name;
};

} // namespace

TEST_CASE("owner_vector: ends its objects, the last one first") {
    std::string ends;
    {
        owner_vector<letter> all;
        for (const char each : std::string("abcdef")) all.push_back(make_owner<letter>(ends, each));
        CHECK(all.size() == 6);
        CHECK(all[1]->name == 'b');
        CHECK(all.back()->name == 'f');
        std::string names;
        for (const letter* each : all) names += each->name;
        CHECK(names == "abcdef");
        all.pop_back();
        CHECK(ends == "f");
        CHECK(all.size() == 5);
    }
    CHECK(ends == "fedcba");
}

TEST_CASE("owner_vector: has places without an object, and replaces one") {
    std::string ends;
    owner_vector<letter> all;
    all.extend(3);
    CHECK(all.size() == 3);
    CHECK(all[2] == nullptr);
    all.set(1, make_owner<letter>(ends, 'x'));
    CHECK(ends.empty());
    all.set(1, make_owner<letter>(ends, 'y'));
    CHECK(ends == "x");
    all.extend(2); // does not take any away
    CHECK(all.size() == 3);
    all.set(1, {});
    CHECK(ends == "xy");
    all.clear();
    CHECK(all.empty());
}

TEST_CASE("owner_vector: while an object ends it is no longer among the others") {
    struct looking {
        looking(const owner_vector<looking>& list, std::string& text) : others(list), seen(text) {}
        looking(const looking&) = delete;
        looking& operator=(const looking&) = delete;
        ~looking() { seen += std::to_string(others.size()); }
        const owner_vector<looking>& others;
        std::string& seen;
    };
    std::string seen;
    owner_vector<looking> all;
    for (int i = 0; i < 3; ++i) all.push_back(make_owner<looking>(all, seen));
    all.clear();
    CHECK(seen == "210");
}
