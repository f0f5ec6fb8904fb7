// SPDX-License-Identifier: BSL-1.0

// Files that do not hold up the loop: written and read at several places at once, line by line, and as a whole. What the
// system has in its page cache is read at once; the rest goes to io_uring, or to a worker thread where that is not
// allowed.
//
//     c++ -std=c++20 -pthread -Iinclude examples/files_at_once.cpp -o files_at_once
//
// Run: ./files_at_once
// Prints:
//   18 bytes: first second third
//   line: first
//   line: second
//   line: third, now at 18
//   at 6: second
//   open "/no/such/file": No such file or directory
//
// Read next: subprocess_communicate.cpp

#include <asynchio/combine.hpp>
#include <asynchio/io.hpp>
#include <asynchio/task.hpp>

#include <algorithm>
#include <cstdio>
#include <iostream>
#include <string>
#include <system_error>

namespace aio = asynchio;

aio::task<> amain() {
    aio::file file = co_await aio::open_file("files_at_once.data", "w+");
    co_await aio::gather(file.write_at("first\n", 0), file.write_at("second\n", 6), file.write_at("third", 13));

    std::string all = co_await file.read_all();
    std::replace(all.begin(), all.end(), '\n', ' ');
    std::cout << all.size() << " bytes: " << all << '\n';

    file.seek(0);
    auto lines = aio::lines(file);
    while (const auto line = co_await lines.next()) {
        std::cout << "line: " << *line;
        if (*line == "third") std::cout << ", now at " << file.position();
        std::cout << '\n';
    }

    char word[6];
    co_await file.read_at(word, 6);
    std::cout << "at 6: " << std::string(word, sizeof word) << '\n';

    co_await file.sync(); // until it is on the disk
    co_await file.aclose();
    std::remove("files_at_once.data");
    try {
        co_await aio::open_file("/no/such/file");
    } catch (const std::system_error& e) {
        std::cout << e.what() << '\n';
    }
}

int main() { aio::run(amain()); }
