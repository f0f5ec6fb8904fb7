// SPDX-License-Identifier: BSL-1.0
#pragma once

// Room core: results, errors and the awaitable concepts.

#include <asynchio/core/awaitable.hpp>
#include <asynchio/core/cancelled_error.hpp>
#include <asynchio/core/closure_check.hpp>
#include <asynchio/core/counted_ptr.hpp>
#include <asynchio/core/errors.hpp>
#include <asynchio/core/exchange.hpp>
#include <asynchio/core/functional.hpp>
#include <asynchio/core/generator.hpp>
#include <asynchio/core/generator_exit.hpp>
#include <asynchio/core/kept.hpp>
#include <asynchio/core/late_value.hpp>
#include <asynchio/core/outcome.hpp>
#include <asynchio/core/owner.hpp>
#include <asynchio/core/owner_vector.hpp>
#include <asynchio/core/pointer_set.hpp>
#include <asynchio/core/range.hpp>
#include <asynchio/core/read_errors.hpp>
#include <asynchio/core/ring_buffer.hpp>
#include <asynchio/core/shared_text.hpp>
#include <asynchio/core/steady.hpp>
#include <asynchio/core/trivial_vector.hpp>
