/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* New attachments that wait for the control plane's first word. All wait
 * equally long, so the oldest is the next whose time is over. One whose word
 * has come and is being applied has until that is done. What cannot be done
 * when the time is over is tried again after as long. */

#include <stdbool.h>

struct cp_attach_item;
struct cp_control;

/* Also begins to wait for those that waited when the daemon ended. */
int cp_control_subscribe_init(struct cp_control *control);
void cp_control_subscribe_done(struct cp_control *control);
/* Begins to wait for the control plane's word about a held attachment. */
void cp_control_subscribe_add(struct cp_control *control,
			      const struct cp_attach_item *item);
/* Its word has come; it was applied (then nothing is waited for any more), or
 * refused. */
void cp_control_subscribe_begin(struct cp_control *control, const char *id);
void cp_control_subscribe_end(struct cp_control *control, const char *id,
			      bool is_applied);
/* The attachment has ended; true: because it was rolled back. */
bool cp_control_subscribe_forget(struct cp_control *control, const char *id);
