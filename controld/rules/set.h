/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Strings of bytes, each with a number in the order in which they came; found by
 * the hash that paths have in the kernel too. The bytes are borrowed. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shared/abi.h"
#include "shared/util.h"

struct cp_rules_set;

#define CP_RULES_SET_NONE SIZE_MAX

/* Room for n_max strings. -ENOMEM. */
int cp_rules_set_new(struct cp_rules_set **ret, size_t n_max);
struct cp_rules_set *cp_rules_set_free(struct cp_rules_set *set);
SN_DEFINE_CLEANUP(struct cp_rules_set, cp_rules_set_free)

/* Returns its number; the same for the same bytes. */
size_t cp_rules_set_put(struct cp_rules_set *set, const void *bytes,
			size_t size);
size_t cp_rules_set_count(const struct cp_rules_set *set);

/* hash: cp_rules_set_hash() of the bytes. */
size_t cp_rules_set_find(const struct cp_rules_set *set, uint64_t hash,
			 const void *bytes, size_t size);
bool cp_rules_set_has(const struct cp_rules_set *set, const void *bytes,
		      size_t size);

uint64_t cp_rules_set_hash(const void *bytes, size_t size);
