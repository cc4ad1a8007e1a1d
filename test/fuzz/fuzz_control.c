/* SPDX-License-Identifier: Apache-2.0 */

/* Commands of a control plane: whatever comes, they are read whole or refused
 * with a reason, and what is read keeps the rules of the contract. */

#include <string.h>

#include "controld/control/command.h"
#include "test/fuzz/ensure.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_change(const struct cp_attach_remote_change *change)
{
	require(change->revision > 0);
	require(strlen(change->id) == CP_ATTACH_ID_CHARS);
	switch (change->kind) {
	case CP_ATTACH_REMOTE_UPDATE:
		require(change->policy != NULL);
		require(cp_policy_get_settings(change->policy).mode !=
			SN_MODE_NONE);
		break;
	case CP_ATTACH_REMOTE_MODE:
		require(change->mode != SN_MODE_NONE);
		break;
	case CP_ATTACH_REMOTE_ADD_RULE:
	case CP_ATTACH_REMOTE_REMOVE_RULES:
		require(change->rule.owner == CP_POLICY_OWNER_REMOTE);
		break;
	case CP_ATTACH_REMOTE_ADD_DOMAIN:
	case CP_ATTACH_REMOTE_REMOVE_DOMAINS:
		require(change->domain.owner == CP_POLICY_OWNER_REMOTE);
		require(change->domain.name.size > 0);
		break;
	case CP_ATTACH_REMOTE_DNS_MODE:
	case CP_ATTACH_REMOTE_ACK:
	case CP_ATTACH_REMOTE_DETACH:
		break;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct cp_control_command command;
	struct sn_diag diag = { 0 };
	int r;

	r = cp_control_command_read(data, size, 64 * 1024, 1000, &command,
				    &diag);
	require(r == 0 || r == CP_CONTROL_COMMAND_E_REFUSED);
	require(memchr(command.command_id, 0, sizeof(command.command_id)));
	require(memchr(command.id, 0, sizeof(command.id)));
	if (r)
		require(diag.text[0] && !command.change.policy);
	else if (!command.is_sync_ack)
		check_change(&command.change);
	cp_control_command_done(&command);
	return 0;
}
