// SPDX-License-Identifier: BSL-1.0

// A generator of references to what may be changed yields things that have a name.

// expect: a generator of references yields lvalues

#include <asynchio/core/generator.hpp>

namespace aio = asynchio;

aio::generator<int&> program() {
#ifdef ASYNCHIO_CORRECT
    int named = 1;
    co_yield named;
#else
    co_yield 1;
#endif
}
