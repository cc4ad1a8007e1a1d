/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The fixed set of checkers that every row and policy of the peer passes
 * before it reaches a map. Pure: no kernel, no state. */

#include <stddef.h>
#include <stdint.h>

#include "shared/tables.h"

/* rows: n_rows times the table's key, followed by its value if with_value;
 * alignment does not matter. Returns 0, or -EINVAL with the index of the first
 * row that is not legal. A table without checks takes no rows. */
int dp_check_rows(enum sn_table table, uint32_t slot, uint32_t generation,
		  const uint8_t *rows, size_t n_rows, bool with_value,
		  uint32_t *index);

/* Returns 0 or -EINVAL. Does not look at policy->generation. */
int dp_check_policy(const struct sn_policy *policy);

/* The same of the host's: nothing but a generation and known events. */
int dp_check_host_policy(const struct sn_policy *policy);
