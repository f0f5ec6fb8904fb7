// SPDX-License-Identifier: BSL-1.0
#pragma once

// HTTP by libcurl, 7.68 or later: requests, responses, streams of bodies, and any other transfer. Link curl.

#include <asynchio/adapters/libcurl_error.hpp>
#include <asynchio/adapters/libcurl_headers.hpp>
#include <asynchio/adapters/libcurl_options.hpp>
#include <asynchio/adapters/libcurl_request.hpp>
#include <asynchio/adapters/libcurl_response.hpp>
#include <asynchio/adapters/libcurl_session.hpp>
