// SPDX-License-Identifier: BSL-1.0
#pragma once

// Module core: results, errors and the awaitable concepts.

#include <asynchio/core/awaitable.hpp>
#include <asynchio/core/cancelled_error.hpp>
#include <asynchio/core/errors.hpp>
#include <asynchio/core/generator.hpp>
#include <asynchio/core/generator_exit.hpp>
#include <asynchio/core/kept.hpp>
#include <asynchio/core/outcome.hpp>
#include <asynchio/core/read_errors.hpp>
