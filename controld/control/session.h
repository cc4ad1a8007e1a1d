/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The stream: endpoints in order, SyncRequest, SyncAck, events, and the pauses
 * between. One timer bounds the time until SyncAck and measures the pauses. */

struct cp_control;

int cp_control_session_init(struct cp_control *control);
void cp_control_session_start(struct cp_control *control);
/* Something may be sent. */
void cp_control_session_send(struct cp_control *control);
/* SyncAck has come. NULL, or why it is refused. */
const char *cp_control_session_ack(struct cp_control *control);
/* The next command may come. */
void cp_control_session_receive(struct cp_control *control);
void cp_control_session_stop(struct cp_control *control);
