/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The stream of a feed: events down, answers up, and the pauses between. */

struct cp_feed;

int cp_feed_session_init(struct cp_feed *feed);
void cp_feed_session_start(struct cp_feed *feed);
/* Something may be sent. */
void cp_feed_session_send(struct cp_feed *feed);
/* Once a second: has the detector stopped to read, or to answer? */
void cp_feed_session_check(struct cp_feed *feed);
void cp_feed_session_stop(struct cp_feed *feed);
