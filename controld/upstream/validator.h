/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* DNSSEC: questions of a set that validates go to a context of libunbound, on
 * our loop, which asks the set's servers itself. */

#include "controld/upstream/internal.h"

struct cp_upstream_validator;

/* Can a set of these servers validate? 0, -EOPNOTSUPP, or -errno of the trust
 * anchor's file. */
int cp_upstream_validator_check(const struct cp_upstream *upstream,
				const struct cp_dns_upstream *servers,
				size_t n);
/* Makes the set's context with its first question. -ENOBUFS: too many
 * contexts, or questions at this one. */
int cp_upstream_validator_ask(struct cp_upstream_request *request);
/* No-op for a request that is not there. */
void cp_upstream_validator_cancel(struct cp_upstream_request *request);
/* Tells the answers that came at once; from the loop. */
void cp_upstream_validator_flush(struct cp_upstream *upstream);
/* Nothing may be under way. Accepts NULL. */
struct cp_upstream_validator *
cp_upstream_validator_free(struct cp_upstream_validator *validator);
