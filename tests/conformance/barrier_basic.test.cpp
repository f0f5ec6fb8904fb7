// SPDX-License-Identifier: BSL-1.0

// The last to arrive does not wait and goes on first, the others follow; wait() gives the index of the arrival; the
// barrier can be used again.

#include <asynchio.hpp>

#include "support/python.hpp"

namespace aio = asynchio;
using namespace std::chrono_literals;
using python::print;

aio::task<> worker(aio::barrier& bar, std::string name, aio::duration delay) {
    for (int round = 0; round < 2; ++round) {
        co_await aio::sleep(delay);
        print(name, "arrives, waiting:", bar.n_waiting());
        const std::size_t i = co_await bar.wait();
        print(name, "passes with index", i);
    }
}

aio::task<> amain() {
    aio::barrier bar(3);
    print(bar.parties(), bar.n_waiting(), bar.broken());
    co_await aio::gather(worker(bar, "a", 40ms), worker(bar, "b", 120ms), worker(bar, "c", 80ms));
    print(bar.n_waiting(), bar.broken());
}

int main() { aio::run(amain(), aio::testing::virtual_clock()); }
