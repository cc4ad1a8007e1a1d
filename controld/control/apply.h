/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Commands: read on the loop or, when they are large, by a worker, one after
 * the other in the order in which they came; then handed to the attachment
 * manager, which keeps the order for each attachment. */

#include <stddef.h>

struct cp_control;

/* What has come on the stream; borrowed. */
void cp_control_apply_message(struct cp_control *control, const void *data,
			      size_t size);
