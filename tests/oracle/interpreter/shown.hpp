// SPDX-License-Identifier: BSL-1.0
#pragma once

// Results as the trace shows them.

#include "world.hpp"

namespace oracle {

inline std::string shown(int value) { return std::to_string(value); }

template<class T>
std::string listed(const std::vector<T>& all);

inline std::string shown(const std::vector<int>& all) { return listed(all); }
inline std::string shown(const std::vector<aio::outcome<int>>& all) { return listed(all); }
template<class T>
std::string shown(const aio::outcome<T>& one) {
    return one.has_value() ? shown(one.value()) : describe(one.error());
}

template<class T>
std::string listed(const std::vector<T>& all) {
    std::string text;
    for (std::size_t i = 0; i < all.size(); ++i) {
        if (i != 0) text += ',';
        text += shown(all[i]);
    }
    return text;
}

/// Both results of a gather in which another one stands.
template<class Pair>
std::string nested(const Pair& both) {
    return shown(std::get<0>(both)) + '|' + shown(std::get<1>(both));
}

} // namespace oracle
