// SPDX-License-Identifier: BSL-1.0
#pragma once

// Room testing: virtual time, audits, cancellation at every point.

#include <asynchio/testing/audit.hpp>
#include <asynchio/testing/for_each_cancellation.hpp>
#include <asynchio/testing/policies.hpp>
#include <asynchio/testing/run_until_idle.hpp>
