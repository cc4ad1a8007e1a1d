/* SPDX-License-Identifier: Apache-2.0 */
#include "controld/state/identity.h"

#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#include "sentinel/state/v1/state.pb-c.h"
#include "shared/log.h"

static void saved(void *userdata, int error)
{
	(void)userdata;
	if (error < 0)
		sn_log(SN_LOG_WARNING, "state file error=%s", strerror(-error));
}

static int make(struct cp_state *state, char ret[CP_STATE_IDENTITY_BYTES])
{
	uint8_t bits[(CP_STATE_IDENTITY_BYTES - 1) / 2];
	uint8_t blob[CP_STATE_IDENTITY_BYTES + 16];
	Sentinel__State__V1__Daemon message;
	int r;

	if (getrandom(bits, sizeof(bits), 0) != (ssize_t)sizeof(bits))
		return -EIO;
	for (size_t i = 0; i < sizeof(bits); i++)
		(void)snprintf(&ret[2 * i], 3, "%02x", bits[i]);
	sentinel__state__v1__daemon__init(&message);
	message.daemon_id = ret;
	r = cp_state_put(state, "daemon", blob,
			 sentinel__state__v1__daemon__pack(&message, blob));
	return r < 0 ? r : cp_state_sync(state, saved, NULL);
}

int cp_state_identity_get(struct cp_state *state,
			  char ret[CP_STATE_IDENTITY_BYTES])
{
	Sentinel__State__V1__Daemon *message;
	const void *blob;
	size_t size;

	blob = cp_state_get(state, "daemon", &size);
	if (!blob)
		return make(state, ret);
	message = sentinel__state__v1__daemon__unpack(NULL, size, blob);
	if (!message)
		return -EBADMSG;
	(void)snprintf(ret, CP_STATE_IDENTITY_BYTES, "%s", message->daemon_id);
	sentinel__state__v1__daemon__free_unpacked(message, NULL);
	return 0;
}
