// SPDX-License-Identifier: BSL-1.0

// parallel_for computes on all processors while the loop goes on: here the rows of a picture of the Mandelbrot set, and a
// task that shows the progress. parallel_map gives results in the order of what it is given.
//
//     c++ -std=c++20 -O2 -pthread -Iinclude examples/parallel_for_pixels.cpp -o parallel_for_pixels
//
// Run: ./parallel_for_pixels
// Prints:
//   the loop went on meanwhile
//                              .
//                               ..
//                              ...
//                             .###.
//                         ......#....  .
//                        ..##########.#.
//                       .##############.
//               .........###############.
//               ..####..################.
//             ...######.################
//     ################################.
//             ...######.################
//               ..####..################.
//               .........###############.
//                       .##############.
//                        ..##########.#.
//                         ......#....  .
//                             .###.
//                              ...
//                               ..
//                              .
//   most steps in a row: 200
//
// Read next: run_coroutine_threadsafe_from_thread.cpp

#include <asynchio/task.hpp>
#include <asynchio/thread.hpp>

#include <algorithm>
#include <complex>
#include <cstddef>
#include <iostream>
#include <string>
#include <vector>

namespace aio = asynchio;

constexpr int width = 40;
constexpr int height = 21;
constexpr int most_steps = 200;

int steps(int x, int y) {
    const std::complex<double> c(-2.1 + 2.8 * x / width, 2.2 * y / (height - 1) - 1.1);
    std::complex<double> z;
    int count = 0;
    while (count < most_steps && std::norm(z) < 4) {
        z = z * z + c;
        ++count;
    }
    return count;
}

aio::task<> show_progress(bool& shown) {
    shown = true;
    co_return;
}

aio::task<> program() {
    bool shown = false;
    const auto progress = aio::create_task(show_progress(shown));

    std::vector<std::vector<int>> rows(height, std::vector<int>(width));
    co_await aio::parallel_for(0, height, [&](int y) { // each row belongs to one call
        for (int x = 0; x < width; ++x) rows[static_cast<std::size_t>(y)][static_cast<std::size_t>(x)] = steps(x, y);
    });
    std::cout << (shown ? "the loop went on meanwhile\n" : "the loop stood still\n");

    const std::vector<std::string> lines = co_await aio::parallel_map(rows, [](const std::vector<int>& row) {
        std::string line;
        for (const int count : row) line += count == most_steps ? '#' : count > 8 ? '.' : ' ';
        line.resize(line.find_last_not_of(' ') + 1);
        return line;
    });
    for (const std::string& line : lines) std::cout << line << '\n';

    const std::vector<int> most = co_await aio::parallel_map(
        rows, [](const std::vector<int>& row) { return *std::max_element(row.begin(), row.end()); });
    std::cout << "most steps in a row: " << *std::max_element(most.begin(), most.end()) << '\n';
}

int main() { aio::run(program()); }
