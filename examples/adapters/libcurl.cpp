// SPDX-License-Identifier: BSL-1.0

// Fetches pages by HTTP or HTTPS, all at once, and prints how large they are.
//
//     c++ -std=c++20 -O2 -pthread -Iinclude examples/adapters/libcurl.cpp -o libcurl -lcurl
//     ./libcurl https://example.org/ https://example.com/
//
// Run: ./libcurl
// Test: exit 2
// Read next: download.cpp

#include <asynchio.hpp>
#include <asynchio/adapters/libcurl.hpp>

#include <cstdio>
#include <exception>
#include <string>
#include <vector>

namespace aio = asynchio;

aio::task<> fetch(std::vector<std::string> urls) {
    aio::libcurl::session web;
    std::vector<aio::task<aio::libcurl::response>> pages;
    for (const std::string& each : urls) pages.push_back(web.get(each));
    for (const aio::libcurl::response& page : co_await aio::gather(std::move(pages)))
        std::printf("%s: status %d, %zu bytes\n", page.url.c_str(), page.status, page.body.size());
}

int main(int argc, char** argv) {
    if (argc < 2) {
        std::fputs("usage: libcurl URL...\n", stderr);
        return 2;
    }
    try {
        aio::run(fetch({argv + 1, argv + argc}));
    } catch (const std::exception& e) {
        std::fprintf(stderr, "libcurl: %s\n", e.what());
        return 1;
    }
}
