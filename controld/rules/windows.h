/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* How often something came of late: the times of the last events of each key,
 * so that no window's edge hides any. Bounded: the key that was not heard of for
 * longest makes room. Keys are hashes; two of one hash are counted together. */

#include <stddef.h>
#include <stdint.h>

#include "shared/util.h"

struct cp_rules_windows;

/* At most so many keys and bytes of times. -ENOMEM. */
int cp_rules_windows_new(struct cp_rules_windows **ret, size_t n_max,
			 size_t bytes_max);
struct cp_rules_windows *
cp_rules_windows_free(struct cp_rules_windows *windows);
SN_DEFINE_CLEANUP(struct cp_rules_windows, cp_rules_windows_free)

/* An event of the key. True: it is the count-th within window_ns; the key begins
 * anew then. Without memory each event is. count: at least 2. */
bool cp_rules_windows_put(struct cp_rules_windows *windows, uint64_t key,
			  size_t count, uint64_t window_ns, uint64_t now_ns);

/* Keys that had to make room. */
uint64_t cp_rules_windows_forgotten(const struct cp_rules_windows *windows);
